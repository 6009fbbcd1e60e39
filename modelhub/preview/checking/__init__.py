"""Checking: whether pictures are what a working model makes, and how those of a merge compare with its parents'."""
