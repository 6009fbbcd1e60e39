"""Lookup: what providers know of the files that are here, asked for in batches and kept, and what is newer there."""
