"""The list of folders that assets can move to: those that hold some already, narrowed by what is typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell


class GoalList(LineList):
    """Folders with the number of assets in each."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted", "list--name"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._all: Mapping[str, int] = {}
        self._shown: list[str] = []

    @property
    def current(self) -> str | None:
        """The folder under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    @property
    def folders(self) -> Sequence[str]:
        """Those that are shown."""
        return self._shown

    def know(self, folders: Mapping[str, int]) -> None:
        """All that there are."""
        self._all = folders

    def narrow(self, typed: str) -> None:
        """Those that begin with what was typed, then those that hold all of its words."""
        wanted = typed.strip().casefold()
        words = wanted.replace("/", " ").split()
        begins = [folder for folder in self._all if folder.casefold().startswith(wanted)]
        holds = [folder for folder in self._all if all(word in folder.casefold() for word in words)]
        self._shown = list(dict.fromkeys([*begins, *holds]))
        self.count = len(self._shown)
        self.cursor = 0
        self.refresh()

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """The folder, and how many assets lie in it."""
        folder = self._shown[number]
        count = f"{self._all[folder]:,}"
        name = cell(folder, max(1, width - len(count) - 4))
        return [
            Segment(f" {name}  ", style + ink(self, "list--name")),
            Segment(count, style + ink(self, "list--muted")),
        ]
