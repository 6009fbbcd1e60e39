"""The list of duplicates: groups with a title each, the file to keep on top, the others with marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive

from modelhub.catalog.asset import Asset
from modelhub.organize.dupes import Group
from modelhub.text import human_size, plural
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_SIZE = 9


@dataclass(frozen=True, slots=True)
class Twin:
    """A file of a group: what it is beside the one to keep ("" for that one), and what only it has."""

    asset: Asset
    group: int
    relation: str = ""
    loses: str = ""


@dataclass(frozen=True, slots=True)
class Title:
    """The line above a group."""

    group: int
    same: str
    why: str
    files: int


Row = Title | Twin


class DupeList(LineList):
    """`marks` are the ids of files that are to go; of every group one stays, `kept` has it by group."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("muted", "name", "mark", "good", "warn", "heading")
    }
    marks: reactive[frozenset[int]] = reactive(frozenset())

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._kept: dict[int, int] = {}

    # -- what is shown -------------------------------------------------------------------------------------------------

    def show(self, groups: Sequence[Group]) -> None:
        """Other groups; the cursor is on the first file."""
        self._rows = [row for number, group in enumerate(groups) for row in _rows(number, group)]
        self._kept = {number: group.keep.id for number, group in enumerate(groups)}
        self.marks = frozenset()
        self.count = len(self._rows)
        self.cursor = 1 if self._rows else 0
        self.refresh()

    def drop(self, gone: frozenset[int]) -> None:
        """Take out files, and groups of which one file is left."""
        left = [row for row in self._rows if not (isinstance(row, Twin) and row.asset.id in gone)]
        sizes = {row.group: 0 for row in left}
        for row in left:
            sizes[row.group] += isinstance(row, Twin)
        self._rows = [
            replace(row, files=sizes[row.group]) if isinstance(row, Title) else row
            for row in left
            if sizes[row.group] > 1
        ]
        self.marks = self.marks - gone
        self.count = len(self._rows)
        self.cursor = self.validate_cursor(self.cursor)
        self.refresh()

    @property
    def twins(self) -> Iterator[Twin]:
        """All files."""
        return (row for row in self._rows if isinstance(row, Twin))

    @property
    def current(self) -> Twin | None:
        """The file under the cursor, None on a title."""
        row = self._rows[self.cursor] if self.cursor < len(self._rows) else None
        return row if isinstance(row, Twin) else None

    @property
    def marked(self) -> list[Asset]:
        """The files that are to go."""
        return [twin.asset for twin in self.twins if twin.asset.id in self.marks]

    def is_kept(self, twin: Twin) -> bool:
        """Whether this is the one of its group that stays."""
        return self._kept.get(twin.group) == twin.asset.id

    # -- marks ---------------------------------------------------------------------------------------------------------

    def toggle(self) -> bool:
        """Mark or unmark the file under the cursor and go on; False where that would leave nothing of its group."""
        twin = self.current
        if twin is None:
            self.cursor += 1
            return True
        number = twin.asset.id
        if number in self.marks:
            self.marks = self.marks - {number}
        else:
            others = [one.asset.id for one in self.twins if one.group == twin.group and one.asset.id != number]
            if all(other in self.marks for other in others):
                return False
            self.marks = self.marks | {number}
            if self.is_kept(twin):
                self._kept[twin.group] = next(other for other in others if other not in self.marks)
        self.cursor += 1
        return True

    def mark_rest(self) -> None:
        """All but the kept ones and those with which something would be lost; when they are marked, none."""
        rest = frozenset(twin.asset.id for twin in self.twins if not self.is_kept(twin) and not twin.loses)
        self.marks = frozenset() if rest <= self.marks else rest

    def keep(self) -> None:
        """Keep the file under the cursor, and mark the others of its group."""
        twin = self.current
        if twin is None:
            return
        mine = {one.asset.id for one in self.twins if one.group == twin.group}
        self._kept[twin.group] = twin.asset.id
        self.marks = (self.marks | mine) - {twin.asset.id}

    def watch_marks(self) -> None:
        """Draw the marks."""
        self.refresh()

    # -- drawing -------------------------------------------------------------------------------------------------------

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """A title, or a file with its mark."""
        row = self._rows[number]
        return self._title(row, width, style) if isinstance(row, Title) else self._twin(row, width, style)

    def _title(self, row: Title, width: int, style: Style) -> list[Segment]:
        text = f"{plural(row.files, 'file')} with the same {row.same}"
        why = f"  kept: {row.why}"
        return [
            Segment(f" {text}", style + ink(self, "list--heading")),
            Segment(cell(why, max(0, width - len(text) - 1)), style + ink(self, "list--muted")),
        ]

    def _twin(self, row: Twin, width: int, style: Style) -> list[Segment]:
        muted = style + ink(self, "list--muted")
        sign, look = (
            ("✗", "mark") if row.asset.id in self.marks else ("✓", "good") if self.is_kept(row) else ("·", "muted")
        )
        about = f"{row.relation}{'; only it has ' + row.loses if row.loses else ''}"
        right = min(len(about), max(12, width // 3)) if about else 0
        name = max(8, width - _SIZE - right - 10)
        return [
            Segment(f"   {sign} ", style + ink(self, f"list--{look}")),
            Segment(f"{cell(human_size(row.asset.size), _SIZE, right=True)}  ", muted),
            Segment(f"{cell(str(row.asset.path), name)}  ", style + ink(self, "list--name")),
            Segment(cell(about, right), style + ink(self, "list--warn" if row.loses else "list--muted")),
        ]


def _rows(number: int, group: Group) -> Iterator[Row]:
    yield Title(number, group.same, group.why, len(group.others) + 1)
    yield Twin(group.keep, number)
    yield from (Twin(one.asset, number, one.relation, one.loses) for one in group.others)
