"""What is known: architectures, identities, and the SQLite rows of every asset. Loads no torch."""
