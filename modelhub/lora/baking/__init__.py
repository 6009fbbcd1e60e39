"""Adapters baked into a model: as a view that nothing of is written, or as a file."""
