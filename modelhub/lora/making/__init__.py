"""New adapters: extracted from a difference, resized, merged of several, or under other names."""
