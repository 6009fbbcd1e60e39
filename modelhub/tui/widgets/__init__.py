"""The widgets of the terminal interface: data goes down by reactive attributes, up by messages."""
