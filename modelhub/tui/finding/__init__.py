"""Ways to what one looks for: palette, jump mode and help."""
