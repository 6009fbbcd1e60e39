"""The library: its tree, the list, and what is done to the assets of the list."""
