"""Repair: what is damaged in a model, and a copy in which it is mended as far as it can be."""
