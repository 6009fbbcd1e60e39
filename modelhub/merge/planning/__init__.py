"""From a recipe and opened models to the file it would become: what is done with every tensor, and where it lies."""
