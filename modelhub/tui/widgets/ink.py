"""Ink: the colour of a component class without its background, so that it can be laid over any line."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


def ink(widget: Widget, name: str) -> Style:
    """Colour and weight of a component class; a translucent colour is mixed with the widget's background."""
    style = widget.get_component_rich_style(name)
    plain = widget.rich_style
    return Style(
        color=style.color,
        bold=style.bold if style.bold != plain.bold else None,
        reverse=style.reverse if style.reverse != plain.reverse else None,
    )
