"""The list of the queue: what each download is at, with a bar, its real speed and the time left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.reactive import reactive

from modelhub.text import clock, human_size, one_line
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.download.rows import QueueRow
from modelhub.tui.download.table import Cell, Column, Span, Table
from modelhub.tui.download.words import next_step, speed, time_left

_BAR = 14
_SIGNS = {
    "running": ("▶", "done"), "waiting": ("·", "muted"), "paused": ("‖", "warn"), "failed": ("✗", "bad"),
    "done": ("✓", "good"), "broken off": ("!", "warn"),
}  # fmt: skip
_STATES = {"waiting": "waits", "running": "runs"}


class QueueList(Table[QueueRow]):
    """Downloads in the order of the queue."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Download"),
        Column("State", 10, least=96),
        Column("", _BAR, least=76),
        Column("", 4, right=True),
        Column("Size", 8, right=True, least=50),
        Column("Speed", 10, right=True, least=66),
        Column("Left", 11, right=True, least=90),
        Column("To", 28, least=150),
    )

    def key(self, row: QueueRow) -> int:
        """Its number."""
        return row.glance.id

    def sign(self, row: QueueRow) -> Span:
        """Its mark, or its state."""
        return super().sign(row) if self.key(row) in self.marks else _SIGNS[row.state]

    def cells(self, row: QueueRow) -> Sequence[Cell]:
        """Title, state, bar, share, size, speed, time left, folder."""
        one = row.glance
        look = "muted" if row.state == "done" else "name"
        return (
            (one.title, look),
            (_STATES.get(row.state, row.state), _SIGNS[row.state][1]),
            _bar(row),
            (f"{row.share:.0%}" if row.share is not None else "", "muted"),
            (human_size(one.size) if one.size is not None or not row.done else human_size(row.done), "muted"),
            (speed(row.rate) if row.state == "running" else "", "name"),
            (time_left(row.left, row.rate) if row.state == "running" else "", "name"),
            (one.goal.rpartition("/")[0], "muted"),
        )


def _bar(row: QueueRow) -> Cell:
    if row.share is None or row.state == "done":
        return ("", "muted")
    full = round(_BAR * row.share)
    return (("━" * full, "done"), ("━" * (_BAR - full), "rest"))


class QueueFacts(SectionBody):
    """What there is to say of the download under the cursor: where it goes, why it failed, what to do."""

    row: reactive[QueueRow | None] = reactive(None, layout=True)
    notes: reactive[tuple[str, ...]] = reactive((), layout=True)
    nothing = ""

    def sections(self) -> Iterable[Section]:
        """One section."""
        if self.row is not None:
            yield Section("", tuple(self._facts(self.row)))

    def _facts(self, row: QueueRow) -> Iterable[Fact]:
        one = row.glance
        yield Fact(f"{row.state}", one_line(one.title), _LOOK.get(row.state, "value"), cut=True)
        yield Fact("goes to" if row.state != "done" else "is at", one_line(one.goal), "muted")
        if row.state == "failed":
            yield Fact("why", one_line(one.message or ""), "bad")
            yield Fact("next", next_step(one))
        elif row.state == "broken off":
            yield Fact("next", "The program that ran it is gone; s goes on where it was.")
        elif row.state == "paused":
            yield Fact("next", "p lets it go on.")
        elif row.state == "done":
            yield Fact("verified", f"{human_size(one.size)} at {clock(one.changed)}; enter shows it.", "good")
        for note in self.notes:
            yield Fact("note", one_line(note), "warn")


_LOOK = {"failed": "bad", "done": "good", "paused": "warn", "broken off": "warn"}
