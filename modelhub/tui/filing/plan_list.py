"""The list of a plan: old paths and new ones side by side, before anything happens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_ARROW = "  →  "


class PlanList(LineList):
    """Pairs of paths; what both have in common, the folder, is left out where they share it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted", "list--name"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pairs: Sequence[tuple[Path, Path]] = ()

    @property
    def pairs(self) -> Sequence[tuple[Path, Path]]:
        """What is shown."""
        return self._pairs

    def show(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Another plan."""
        self._pairs = pairs
        self.count = len(pairs)
        self.cursor = 0
        self.refresh()

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Old, an arrow, new."""
        old, new = self._pairs[number]
        left = (width - len(_ARROW) - 2) // 2
        right = width - left - len(_ARROW) - 2
        goal = new.name if old.parent == new.parent else f"{new.parent}/" if old.name == new.name else str(new)
        muted = style + ink(self, "list--muted")
        return [
            Segment(f" {cell(old.name, left)}", muted),
            Segment(_ARROW, muted),
            Segment(cell(goal, right), style + ink(self, "list--name")),
        ]
