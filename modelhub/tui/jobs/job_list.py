"""The list of jobs: sign, title, where it was started, how far it is or what came of it, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.text import human_seconds
from modelhub.tui.jobs.rows import LOOKS, SIGNS, JobRow
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

#: Columns of the place, the phase, the bar and the time; and from which width on place and phase are shown.
_PLACE, _PHASE, _BAR, _TIME = 9, 16, 12, 12
_WITH_PLACE = 70
_TITLE = 16


class JobList(LineList):
    """Rows of jobs, under headings. `empty` is what an empty list says."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("heading", "good", "bad", "run", "muted", "bar", "rest")
    }
    header = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: list[JobRow] = []

    @property
    def current(self) -> JobRow | None:
        """The job under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def show(self, rows: list[JobRow]) -> None:
        """Other rows, or the same ones further on; the cursor stays on its job, and one on top stays on top."""
        current = self.current if self.cursor else None
        self.rows = rows
        self.count = len(rows)
        at = next((at for at, row in enumerate(rows) if current and row.key == current.key), None)
        self.cursor = self.validate_cursor(self.cursor if current and at is None else at or 0)
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """What the columns are."""
        title, place, rest = self._widths(width)
        parts = [cell("", 3), cell("Job", title), cell("  From", place), cell("  Progress", rest)]
        text = "".join(parts) + cell("Time", _TIME, right=True)
        return [Segment(cell(text, width), self.get_component_rich_style("list--heading"))]

    def _widths(self, width: int) -> tuple[int, int, int]:
        """Columns of title, place and what it is at."""
        place = _PLACE + 2 if width >= _WITH_PLACE else 0
        room = width - 3 - place - _TIME - 1
        title = max(_TITLE, room * 2 // 5)
        return title, place, max(0, room - title)

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Sign, title, place, progress, time."""
        row = self.rows[number]
        look = style + ink(self, f"list--{LOOKS.get(row.state, 'muted')}")
        muted = style + ink(self, "list--muted")
        title, place, rest = self._widths(width)
        took = human_seconds(row.seconds) if row.seconds is not None else ""
        return [
            Segment(f" {SIGNS.get(row.state, '?')} ", look),
            Segment(cell(row.title, title), style),
            Segment(cell(f"  {row.place_title}", place), muted),
            *self._at(row, rest, style, look if row.state == "failed" else muted),
            Segment(cell(took, _TIME, right=True), muted),
        ]

    def _at(self, row: JobRow, width: int, style: Style, muted: Style) -> Sequence[Segment]:
        """The phase with a bar and numbers, or the sentence at the end."""
        if not (row.phase or row.amount):
            return [Segment(cell(f"  {row.says or row.state}", width), muted)]
        parts = [Segment("  ", style)]
        room = width - 2
        if row.phase and width >= _PHASE + _BAR:
            parts.append(Segment(cell(row.phase, _PHASE), style))
            room -= _PHASE
        if row.share is not None and room >= _BAR:
            parts += self._bar(row.share, style)
            room -= _BAR
        return [*parts, Segment(cell(f" {row.progress}" if room > 8 else "", max(0, room)), muted)]

    def _bar(self, share: float, style: Style) -> list[Segment]:
        full = round((_BAR - 1) * share)
        return [
            Segment("━" * full, style + ink(self, "list--bar")),
            Segment("━" * (_BAR - 1 - full), style + ink(self, "list--rest")),
            Segment(" ", style),
        ]
