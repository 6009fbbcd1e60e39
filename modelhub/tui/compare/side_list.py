"""The list of a comparison: a label and a value for each asset; what is the same is dim, what differs is lit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.tui.compare.side_by_side import SideRow, SideSection
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

#: Columns of the label, and of the sign before it.
LABEL, _SIGN = 16, 2


class SideList(LineList):
    """`names` stand above the columns."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("muted", "heading", "label", "name", "differs", "same")
    }
    header = 1

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = names
        self._rows: list[str | SideRow] = []

    def show(self, sections: Sequence[SideSection]) -> None:
        """Other rows; the cursor stays on its label."""
        before = self.current
        self._rows = []
        for section in sections:
            self._rows += [section.title, *section.rows] if section.rows else []
        self.count = len(self._rows)
        labels = [row.label if isinstance(row, SideRow) else None for row in self._rows]
        self.cursor = labels.index(before.label) if before and before.label in labels else min(1, self.count - 1)
        if self.cursor <= 1:
            self.call_after_refresh(self.scroll_home, animate=False)
        self.refresh()

    @property
    def current(self) -> SideRow | None:
        """The row under the cursor, None on a title."""
        row = self._rows[self.cursor] if self.cursor < len(self._rows) else None
        return row if isinstance(row, SideRow) else None

    def _widths(self, width: int) -> tuple[int, int]:
        """Columns of the label and of each value."""
        label = min(LABEL if width < 120 else 2 * LABEL, width // 4)
        return label, max(4, (width - label - _SIGN - 1) // len(self._names) - 1)

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """The names."""
        style = self.get_component_rich_style("list--name")
        label, column = self._widths(width)
        text = "".join(f"{cell(name, column)} " for name in self._names)
        return [Segment(cell(" " * (label + _SIGN + 1) + text, width), style)]

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """A title, or label and values."""
        row = self._rows[number]
        if isinstance(row, str):
            return [Segment(f" {row.upper()}", style + ink(self, "list--heading"))]
        label, column = self._widths(width)
        look = style + ink(self, "list--differs" if row.differs else "list--same")
        return [
            Segment("≠ " if row.differs else "  ", look),
            Segment(f"{cell(row.label, label)} ", style + ink(self, "list--label")),
            *(Segment(f"{cell(value or '–', column)} ", look) for value in row.values),
        ]
