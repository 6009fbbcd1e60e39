"""Names: what servers call a file, what of that can be trusted, and a name that every system can hold."""
