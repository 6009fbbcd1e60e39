"""The list of what is in the trash: when it went there, what it frees, its names and where it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.organize.emptying import Trashed
from modelhub.text import human_size, plural
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_WHEN, _SIZE, _FILES = 16, 9, 5


class TrashList(LineList):
    """One line for each move to the trash."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted", "list--name", "list--problem", "list--heading"}
    header = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: Sequence[Trashed] = ()

    @property
    def current(self) -> Trashed | None:
        """What is under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def show(self, entries: Sequence[Trashed]) -> None:
        """Other entries."""
        self.entries = entries
        self.count = len(entries)
        self.refresh()

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """The titles."""
        plain = self.get_component_rich_style("list--heading")
        numbers = f"{cell('Frees', _SIZE, right=True)}  {cell('Files', _FILES, right=True)}"
        text = f" {cell('When', _WHEN)}  {numbers}  What, and from where"
        return [Segment(cell(text, width), plain)]

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """When, how much, what, from where."""
        entry = self.entries[number]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at))
        muted, name = style + ink(self, "list--muted"), style + ink(self, "list--name")
        paths = list(entry.assets.values())
        what = (
            paths[0].name
            if len(paths) == 1
            else plural(len(paths), "asset") + (f": {paths[0].name}, …" if paths else "")
        )
        left = max(10, (width - _WHEN - _SIZE - _FILES - 9) * 3 // 5)
        where = str(paths[0].parent) if paths else ""
        found = [
            Segment(f" {cell(when, _WHEN)}  {cell(human_size(entry.freed), _SIZE, right=True)}  ", muted),
            Segment(f"{cell(str(len(entry.files)), _FILES, right=True)}  ", muted),
            Segment(f"{cell(what, left)}  ", name),
        ]
        if not entry.complete:
            return [*found, Segment("interrupted: bring it back", style + ink(self, "list--problem"))]
        return [*found, Segment(cell(where, max(1, width - left - _WHEN - _SIZE - _FILES - 9)), muted)]
