"""Which columns a list has, in which order, and by which of them it is sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widgets import Static

from modelhub.tui.assets.columns import COLUMNS, USUAL, Column
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Names of columns, and the sort if another was chosen."""

    columns: tuple[str, ...]
    sort: str | None = None


class ColumnRows(LineList):
    """All columns, those that are shown first and in their order."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted", "list--mark"}

    rows: reactive[tuple[Column, ...]] = reactive(())
    ticked: reactive[frozenset[str]] = reactive(frozenset())

    def put(self, names: Sequence[str]) -> None:
        """Tick these, in this order, and list the others below."""
        shown = [COLUMNS[name] for name in names]
        self.rows = (*shown, *(column for column in COLUMNS.values() if column not in shown))
        self.ticked = frozenset(names)
        self.count = len(self.rows)
        self.refresh()

    @property
    def here(self) -> Column:
        """The column under the cursor."""
        return self.rows[self.cursor]

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are ticked, in order."""
        return tuple(column.name for column in self.rows if column.name in self.ticked)

    def tick(self) -> None:
        """Show or hide the column under the cursor; the name is always shown."""
        if self.here.name == "name":
            self.app.bell()
        else:
            self.ticked = self.ticked ^ {self.here.name}
        self.refresh()

    def carry(self, by: int) -> None:
        """Move the column under the cursor up or down."""
        here, there = self.cursor, self.validate_cursor(self.cursor + by)
        rows = list(self.rows)
        rows.insert(there, rows.pop(here))
        self.rows = tuple(rows)
        self.cursor = there
        self.refresh()

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """A tick, the heading, and what it is."""
        column = self.rows[number]
        is_shown = column.name in self.ticked
        title = "Folder" if column.name == "folder" else column.title
        return [
            Segment(" ✓ " if is_shown else " · ", style + ink(self, "list--mark" if is_shown else "list--muted")),
            Segment(cell(title, 12), style),
            Segment(cell(column.help, max(0, width - 15)), style + ink(self, "list--muted")),
        ]


class ColumnDialog(ModalScreen[Arrangement | None]):
    """Tick, move and sort; gives the arrangement, or None when it was left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="columns.cancel"),
        Binding("enter", "take", "Take", show=False, id="columns.take"),
        Binding("space", "tick", "Tick", show=False, id="columns.tick"),
        Binding("shift+up,K,minus", "carry(-1)", "Move up", show=False, id="columns.up"),
        Binding("shift+down,J,plus", "carry(1)", "Move down", show=False, id="columns.down"),
        Binding("s", "sort", "Sort by it", show=False, id="columns.sort"),
        Binding("r", "reset", "As at first", show=False, id="columns.reset"),
    ]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def compose(self) -> ComposeResult:
        """The rows over what the keys do."""
        keys = "space shows or hides · shift-↑ shift-↓ (or K J) move"
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Columns"
            yield ColumnRows(id="columns")
            more = "s sorts by it · r as at first · enter takes it · escape leaves"
            yield Static(f"{keys}\n{more}", markup=False, classes="keys")

    def on_mount(self) -> None:
        """The columns as they are."""
        self.rows.put(self._names)
        self.rows.focus()

    @property
    def rows(self) -> ColumnRows:
        """The list."""
        return self.query_one(ColumnRows)

    def action_tick(self) -> None:
        """Show or hide."""
        self.rows.tick()

    def action_carry(self, by: int) -> None:
        """Move."""
        self.rows.carry(by)

    def action_reset(self) -> None:
        """As it was at the first start."""
        self.rows.put(USUAL)

    def action_sort(self) -> None:
        """Take the columns, and sort by the one under the cursor."""
        self.dismiss(Arrangement(self.rows.names, self.rows.here.sort))

    def action_take(self) -> None:
        """Take the columns."""
        self.dismiss(Arrangement(self.rows.names))

    def on_line_list_clicked(self, message: LineList.Clicked) -> None:
        """A click ticks."""
        message.stop()
        self.action_tick()

    def on_click(self, event: events.Click) -> None:
        """A click beside the box leaves."""
        if event.widget is self:
            self.dismiss(None)
