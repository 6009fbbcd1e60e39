"""Widgets of more than one room: data goes down by reactive attributes, up by messages."""
