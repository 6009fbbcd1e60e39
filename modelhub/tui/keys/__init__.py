"""Keys: the table of bindings, presets, and keys.toml."""
