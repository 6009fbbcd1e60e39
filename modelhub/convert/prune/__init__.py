"""Prune: what of a model stays, what goes, and why."""
