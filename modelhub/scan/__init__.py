"""Scan: walk the folders, know every model by its header, follow what moved, and bring the catalog up to date."""
