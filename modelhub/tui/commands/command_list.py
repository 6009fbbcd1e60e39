"""The list of commands, or of command lines that were run before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType

from modelhub.tui.commands.suggestions import CompletingInput
from modelhub.tui.widgets.cut import cut
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_NAME = 14


class CommandRow(NamedTuple):
    """A command and what it does; or a line, with nothing to say of it."""

    label: str
    help: str = ""


class CommandList(LineList):
    """Rows to choose from, by enter here as well as in the field."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open it", show=False, id="commands.choose"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--label", "list--muted"}

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Sequence[CommandRow] = ()

    def show(self, rows: Sequence[CommandRow]) -> None:
        """Others than before."""
        self.rows = rows
        self.count = len(rows)
        self.cursor = 0
        self.refresh()

    @property
    def current(self) -> CommandRow | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def action_choose(self) -> None:
        """Open the one under the cursor."""
        self.tell(self.Chosen(self, self.cursor))

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """A command and its help, or a line over the whole width."""
        label, help = self.rows[number]
        size = _NAME if help else width - 1
        return [
            Segment(" " + cell(label, size), style + ink(self, "list--label")),
            Segment(cut(help, max(0, width - size - 1)), style + ink(self, "list--muted")),
        ]


class CommandInput(CompletingInput):
    """The field over the list: its arrows move the cursor there while it keeps the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move('cursor_down')", "Next command", show=False, id="commands.down"),
        Binding("up", "move('cursor_up')", "Command before", show=False, id="commands.up"),
        Binding("pagedown", "move('page_down')", "Page down", show=False, id="commands.page_down"),
        Binding("pageup", "move('page_up')", "Page up", show=False, id="commands.page_up"),
    ]

    def action_move(self, how: str) -> None:
        """Move the cursor of the list."""
        getattr(self.screen.query_one(CommandList), f"action_{how}")()
