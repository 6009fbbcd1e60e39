"""Arriving: bytes that are whole and verified become a model at its place, known to the catalog."""
