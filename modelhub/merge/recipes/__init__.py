"""What is to be merged: recipes, read from our texts and from those of other programs, and checked."""
