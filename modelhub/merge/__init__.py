"""Merging: a recipe becomes a plan, and a plan is a source that can be written, rendered, or read at any byte."""
