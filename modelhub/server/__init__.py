"""The server: the TUI in a browser, and the renderer behind the interface that other programs speak with A1111."""
