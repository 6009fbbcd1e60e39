"""Adapters baked into a model: what they make of its rows, which merges compute where they are read."""
