"""Merge methods, one idea per file; every module here is registered by being here."""
