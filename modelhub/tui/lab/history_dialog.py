"""The history of the merge lab in a dialog: what was made, its picture and its recipe; enter brings it back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.merge.recipes.telling import recipe_lines
from modelhub.text import printable
from modelhub.tui.detail.preview import Preview
from modelhub.tui.lab.history import Entry, History
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.work import WorkerJob, background

_NOTHING = "Nothing was previewed or saved yet: f5 renders the merge, ctrl+s writes it."
_KIND, _WHEN = 8, 12


class EntryList(LineList):
    """When, what, and its title."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--muted", "list--name", "list--tag"}

    def __init__(self) -> None:
        super().__init__(id="entries")
        self.entries: list[Entry] = []

    def show(self, entries: Sequence[Entry]) -> None:
        """Other entries; the cursor stays on its line."""
        self.entries = list(entries)
        self.count = len(entries)
        self.cursor = self.validate_cursor(self.cursor)
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def render_line(self, y: int) -> Strip:
        """A line of the list, or what to do for one to be there."""
        if self.count or y:
            return super().render_line(y)
        return Strip([Segment(cell(_NOTHING, self.size.width), ink(self, "list--muted"))])

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """One line."""
        entry = self.entries[number]
        rest = max(1, width - _WHEN - _KIND - 2)
        return [
            Segment(cell(when(entry.at), _WHEN) + " ", style + ink(self, "list--muted")),
            Segment(cell(entry.what, _KIND) + " ", style + ink(self, "list--tag")),
            Segment(cell(entry.title, rest), style),
        ]


class HistoryDialog(ModalScreen[Entry | None]):
    """Gives the entry that is to be brought back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close", show=False, id="history.close"),
        Binding("enter", "take", "Bring back", show=False, id="history.take"),
        Binding("delete,x", "delete", "Delete", show=False, id="history.delete"),
    ]

    @dataclass
    class Read(Message):
        """The entries were read."""

        entries: list[Entry]

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def compose(self) -> ComposeResult:
        """The list beside what it holds."""
        with Vertical(classes="dialog -tall", id="history") as box:
            box.border_title = "History"
            with Horizontal():
                yield EntryList()
                with VerticalScroll(can_focus=False, id="entry"):
                    yield Preview()
                    yield Static(markup=False, id="entry-lines")
            yield Static("enter brings it back · delete forgets it · escape closes", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Read."""
        self.list.focus()
        self._read()

    @property
    def list(self) -> EntryList:
        """The entries."""
        return self.query_one(EntryList)

    @background("history")
    def _read(self, job: WorkerJob) -> None:
        entries = self._history.entries()
        job.check()
        job.post(self.Read(entries))

    @on(Read)
    def _show(self, message: Read) -> None:
        self.list.show(message.entries)

    @on(LineList.Highlighted)
    def _look(self) -> None:
        """Picture and recipe of the entry under the cursor."""
        entry, preview = self.list.current, self.query_one(Preview)
        picture = self._history.picture(entry) if entry else None
        preview.room = self.query_one("#entry").size
        preview.path = str(picture or "")
        self.query_one("#entry-lines", Static).update(printable("\n".join(_lines(entry))))

    @on(LineList.Chosen)
    def action_take(self) -> None:
        """Bring it back."""
        if self.list.current is not None:
            self.dismiss(self.list.current)

    def action_delete(self) -> None:
        """Forget the entry under the cursor; a file that was saved stays."""
        entry = self.list.current
        if entry is not None:
            self._history.delete(entry)
            self.list.show([one for one in self.list.entries if one is not entry])


def _lines(entry: Entry | None) -> list[str]:
    """What an entry is, for a person."""
    if entry is None:
        return []
    try:
        recipe = recipe_lines(parse_recipe(entry.recipe))
    except ModelhubError as error:
        recipe = [error.message]
    said = [f"{name} {entry.request[name]}" for name in ("prompt", "seed", "steps", "cfg") if name in entry.request]
    return [*recipe, "", *said, *([f"saved as {entry.file}"] if entry.file else [])]


def when(at: float) -> str:
    """`21 Nov 14:05`."""
    try:
        return time.strftime("%d %b %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"
