"""Choices: a short list that drops down from a field, over what lies below; the focus stays in the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive

from modelhub.text import width
from modelhub.tui.assets.completing import Choice
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_ROWS = 10
_WIDEST = 64


class Choices(LineList, can_focus=False):
    """The lines of `choices`; `chosen` is None until one is gone to. It is as large as they need."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted"}

    choices: reactive[Sequence[Choice]] = reactive(())
    chosen: reactive[bool] = reactive(False)

    _widest = 0

    @property
    def choice(self) -> Choice | None:
        """The line that is lit."""
        return self.choices[self.cursor] if self.chosen and self.cursor < len(self.choices) else None

    def offer(self, choices: Sequence[Choice], *, first: bool = False) -> None:
        """Show these; `first` lights the first. Without any it vanishes."""
        self.choices, self.chosen = choices, first and bool(choices)
        self.count, self.cursor = len(choices), 0
        self.scroll_to(y=0, animate=False, force=True)
        self.display = bool(choices)
        self._widest = max((width(choice.text) for choice in choices), default=0)
        notes = max((width(choice.note) for choice in choices), default=0)
        self.styles.width = min(_WIDEST, self._widest + notes + 5)
        self.styles.height = min(_ROWS, len(choices))
        self.refresh()

    def step(self, by: int) -> None:
        """To another line; before the first there is none."""
        row = self.cursor + by if self.chosen else min(by, 1) - 1
        self.chosen = row >= 0
        self.cursor = max(0, row)
        self.refresh()

    def _line_style(self, number: int) -> Style:
        if number == self.cursor and self.chosen:
            return self.rich_style + self.get_component_rich_style("list--cursor")
        if number == self.hover:
            return self.rich_style + self.get_component_rich_style("list--hover")
        return self.rich_style

    def row(self, number: int, columns: int, style: Style) -> list[Segment]:
        """What is offered, and the word on it at the right."""
        choice = self.choices[number]
        room = max(4, columns - 2 - min(width(choice.note), columns // 2) - 1)
        left = cell(f" {choice.text}", min(room, self._widest + 2) if choice.note else columns)
        right = not choice.put.endswith(":")
        note = f"{choice.note} " if right else f" {choice.note}"
        rest = columns - width(left)
        return [
            Segment(left, style),
            Segment(cell(note, rest, right=right), style + ink(self, "list--muted")),
        ]
