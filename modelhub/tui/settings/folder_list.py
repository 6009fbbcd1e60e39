"""The folders that are scanned: how much lies below each, whose it is, and which are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.catalog.remembered import RememberedFolder
from modelhub.text import human_size
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_EMPTY = "No folder is scanned yet.\n\nPress  a  and name the one that holds your models."
_ASSETS, _SIZE, _WHOSE = 9, 9, 16


class FolderList(LineList):
    """Rows of folders."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--label", "list--muted", "list--problem", "list--heading"}
    header = 1

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.set_reactive(FolderList.empty, _EMPTY)
        self.folders: Sequence[RememberedFolder] = ()

    def show(self, folders: Sequence[RememberedFolder]) -> None:
        """Others than before."""
        self.folders = folders
        self.count = len(folders)
        self.refresh()

    @property
    def current(self) -> RememberedFolder | None:
        """The folder under the cursor."""
        return self.folders[self.cursor] if self.cursor < len(self.folders) else None

    def heading(self, y: int, width: int) -> list[Segment]:
        """The titles."""
        style = self.rich_style + ink(self, "list--heading")
        return [Segment(text, style) for text in self._columns("Folder", "Assets", "Size", "Whose", width)]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """One folder."""
        one = self.folders[number]
        name = str(one.path) if one.there else f"✗ {one.path} is not there"
        first, *rest = self._columns(name, f"{one.assets:,}", human_size(one.size), one.title or "", width)
        look = ink(self, "list--label" if one.there else "list--problem")
        return [Segment(first, style + look), *(Segment(text, style + ink(self, "list--muted")) for text in rest)]

    def _columns(self, name: str, assets: str, size: str, whose: str, width: int) -> list[str]:
        rest = _ASSETS + _SIZE + _WHOSE + 3
        return [
            cell(f" {name}", max(0, width - rest)),
            cell(assets, _ASSETS, right=True),
            cell(size, _SIZE, right=True),
            cell(f"   {whose}", _WHOSE + 3),
        ]
