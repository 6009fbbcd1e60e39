"""Two assets side by side."""
