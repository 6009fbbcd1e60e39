"""Organise: trash, move, forget, link, and undo of each; no file is lost, and every step stands in the journal."""
