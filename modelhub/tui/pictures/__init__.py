"""Pictures in a terminal: half-blocks, kitty and sixel, and what the terminal can do."""
