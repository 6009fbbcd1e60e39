"""A list that says something in its middle while it is empty."""

from __future__ import annotations

from rich.segment import Segment
from textual.reactive import reactive
from textual.strip import Strip

from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell


class SaidList(LineList):
    """`empty` is what is said; a subclass has the component class `list--muted`."""

    empty: reactive[str] = reactive("")

    def watch_empty(self) -> None:
        """Draw it."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A row, or a line of what is said."""
        lines = [] if self.count else self.empty.splitlines()
        number = y - (self.size.height - len(lines)) // 2
        if not 0 <= number < len(lines):
            return super().render_line(y)
        width = self.size.width
        return Strip(
            [Segment(cell(lines[number].center(width), width), self.rich_style + ink(self, "list--muted"))], width
        )
