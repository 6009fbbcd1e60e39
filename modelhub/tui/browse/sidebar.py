"""The sidebar: a tree of everything that a query can be narrowed to; what the query contains is marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from modelhub.tui.browse.narrow import Way, terms_in
from modelhub.tui.browse.shelves import OPEN, Entry, shelves
from modelhub.tui.library import Survey
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell


class Sidebar(LineList):
    """What is in the catalog, as a tree of lines. `query` is what the list shows, `saved` are names of queries."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose('only')", "Narrow", show=False, id="sidebar.choose"),
        Binding("plus,space", "choose('also')", "Narrow as well", show=False, id="sidebar.also"),
        Binding("minus", "choose('not')", "Leave out", show=False, id="sidebar.not"),
        Binding("right,l", "unfold", "Unfold", show=False, id="sidebar.unfold"),
        Binding("left,h", "fold", "Fold", show=False, id="sidebar.fold"),
        Binding("x,delete", "forget", "Forget the saved search", show=False, id="sidebar.forget"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--heading", "list--muted", "list--chosen"}

    survey: reactive[Survey] = reactive(Survey())
    unfolded: reactive[frozenset[str]] = reactive(OPEN)
    query_text: reactive[str] = reactive("")
    saved: reactive[dict[str, str]] = reactive({})

    @dataclass
    class Narrow(Message):
        """Put these terms into the query; None takes a field out."""

        terms: Mapping[str, str | None] = field(default_factory=dict)
        way: Way = "only"

    @dataclass
    class Recall(Message):
        """Put this query in place of the other."""

        query: str

    @dataclass
    class Forget(Message):
        """This saved search is not wanted any more."""

        name: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self._asked: frozenset[tuple[str, str]] = frozenset()

    @property
    def here(self) -> Entry:
        """The entry under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else Entry("")

    # -- what there is ---------------------------------------------------------------------------------------------

    def watch_survey(self) -> None:
        """Other counts."""
        self._build()

    def watch_unfolded(self) -> None:
        """Other lines."""
        self._build()

    def watch_saved(self) -> None:
        """Other lines."""
        self._build()

    def watch_query_text(self, query: str) -> None:
        """Other marks."""
        self._asked = terms_in(query)
        self.refresh()

    def _build(self) -> None:
        """The lines; the cursor stays on its entry."""
        before = self.here
        self.entries = list(shelves(self.survey, self.unfolded, self.saved))
        self.count = len(self.entries)
        if not before.is_blank:
            self.cursor = next((row for row, entry in enumerate(self.entries) if _same(entry, before)), self.cursor)
        self.refresh()

    # -- drawing ---------------------------------------------------------------------------------------------------

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """A title, or a label with its count at the right edge."""
        entry = self.entries[number]
        arrow = "  " if not entry.folds else "▾ " if entry.folds in self.unfolded else "▸ "
        if entry.terms is None and entry.query is None:
            text = f"{arrow}{entry.label}" if entry.folds else ""
            return [Segment(cell(text, width), style + ink(self, "list--heading"))]
        chosen = entry.is_in(self.query_text, self._asked)
        count = "" if entry.count is None else f" {entry.count:,} "
        label = cell("  " * entry.depth + arrow + entry.label, max(0, width - len(count) - 1))
        look = style + ink(self, "list--chosen") if chosen else style
        return [
            Segment("●" if chosen else " ", look),
            Segment(label, look),
            Segment(count, look if chosen else style + ink(self, "list--muted")),
        ]

    # -- moving ----------------------------------------------------------------------------------------------------

    def action_cursor_up(self) -> None:
        """To the entry before, over blank lines."""
        self._step(-1)

    def action_cursor_down(self) -> None:
        """To the entry after, over blank lines."""
        self._step(1)

    def _step(self, step: int) -> None:
        row = self.cursor + step
        while 0 <= row < self.count and self.entries[row].is_blank:
            row += step
        if 0 <= row < self.count:
            self.cursor = row

    # -- choosing and folding --------------------------------------------------------------------------------------

    def action_choose(self, way: Way) -> None:
        """Narrow the query to the entry under the cursor; again takes it out."""
        entry = self.here
        if entry.query is not None:
            self.post_message(self.Recall("" if entry.query == self.query_text else entry.query))
        elif entry.terms:
            self.post_message(self.Narrow(entry.terms, way))
            if entry.folds and way == "only":
                self.unfolded = self.unfolded | {entry.folds}
        elif entry.folds:
            self.unfolded = self.unfolded ^ {entry.folds}

    def action_unfold(self) -> None:
        """Show what is in it, or go into it."""
        if self.here.folds and self.here.folds not in self.unfolded:
            self.unfolded = self.unfolded | {self.here.folds}
        elif self.here.folds:
            self.action_cursor_down()

    def action_fold(self) -> None:
        """Hide what is in it, or go to what it is in."""
        if self.here.folds in self.unfolded:
            self.unfolded = self.unfolded - {self.here.folds}
            return
        depth = -1 if self.here.is_title else self.here.depth
        above = (row for row in range(self.cursor - 1, 0, -1) if _is_above(self.entries[row], depth))
        self.cursor = next(above, self.cursor)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only saved searches can be forgotten; elsewhere the key is the screen's."""
        return action != "forget" or self.here.query is not None

    def action_forget(self) -> None:
        """Forget a saved search."""
        self.post_message(self.Forget(self.here.label))

    # -- mouse -----------------------------------------------------------------------------------------------------

    def on_line_list_clicked(self, message: LineList.Clicked) -> None:
        """A click chooses."""
        message.stop()
        self.action_choose("only")

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """The second click of a double click does nothing more."""
        message.stop()

    def on_click(self, event: events.Click) -> None:
        """A click on the arrow only folds; with ctrl, it narrows as well."""
        offset = event.get_content_offset(self)
        number = None if offset is None else self._row_at(event)
        if offset is None or number is None:
            return
        entry = self.entries[number]
        if event.ctrl:
            self.cursor = number
            self.action_choose("also")
        elif entry.folds and not entry.is_title and offset.x <= 2 * entry.depth + 2:
            self.unfolded = self.unfolded ^ {entry.folds}
        else:
            return
        event.prevent_default()


def _same(one: Entry, other: Entry) -> bool:
    return (one.label, one.terms, one.depth, one.folds, one.query) == (
        other.label, other.terms, other.depth, other.folds, other.query
    )  # fmt: skip


def _is_above(entry: Entry, depth: int) -> bool:
    """Whether an entry is what one of this depth is in: a fold of less depth, or a title."""
    return entry.is_title or (bool(entry.folds) and entry.depth < depth)
