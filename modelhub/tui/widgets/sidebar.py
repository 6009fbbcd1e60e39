"""The sidebar: kinds and their architectures, tags and folders, each with its count; choosing one narrows the query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from modelhub.tui.library import Survey
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_TAGS = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: its text and count, the terms it puts in the query (None: a title), and the kind that it folds."""

    label: str
    count: int | None = None
    terms: Mapping[str, str | None] | None = None
    depth: int = 0
    folds: str = ""


class Sidebar(LineList):
    """What is in the catalog, as a tree of lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Narrow", show=False, id="sidebar.choose"),
        Binding("right,l,space", "fold(False)", "Unfold", show=False, id="sidebar.unfold"),
        Binding("left,h", "fold(True)", "Fold", show=False, id="sidebar.fold"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--heading", "list--muted", "list--brand"}

    header = 2

    survey: reactive[Survey] = reactive(Survey())
    unfolded: reactive[frozenset[str]] = reactive(frozenset())

    @dataclass
    class Narrow(Message):
        """Put these terms into the query; None takes a field out."""

        terms: Mapping[str, str | None] = field(default_factory=dict)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []

    def watch_survey(self) -> None:
        """Other counts."""
        self._build()

    def watch_unfolded(self) -> None:
        """Other lines."""
        self._build()

    def _build(self) -> None:
        self.entries = list(_entries(self.survey, self.unfolded))
        self.count = len(self.entries)
        self.refresh()

    def heading(self, y: int, width: int) -> list[Segment]:
        """The name of the program."""
        text = " ◆ modelhub" if y == 0 else ""
        return [Segment(cell(text, width), self.get_component_rich_style("list--brand"))]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """A title, or a label with its count at the right edge."""
        entry = self.entries[number]
        if entry.terms is None:
            return [Segment(cell(f" {entry.label}", width), style + ink(self, "list--heading"))]
        count = "" if entry.count is None else f"{entry.count:,} "
        arrow = "  " if not entry.folds else "▾ " if entry.folds in self.unfolded else "▸ "
        label = cell(" " + "  " * entry.depth + arrow + entry.label, max(0, width - len(count)))
        return [
            Segment(label, style),
            Segment(count, style + ink(self, "list--muted")),
        ]

    def action_cursor_up(self) -> None:
        """To the entry before, over titles."""
        self._step(-1)

    def action_cursor_down(self) -> None:
        """To the entry after, over titles."""
        self._step(1)

    def _step(self, step: int) -> None:
        row = self.cursor + step
        while 0 <= row < self.count and self.entries[row].terms is None:
            row += step
        if 0 <= row < self.count:
            self.cursor = row

    def action_choose(self) -> None:
        """Narrow the query to the entry under the cursor."""
        if self.cursor < len(self.entries):
            self._choose(self.entries[self.cursor])

    def _choose(self, entry: Entry) -> None:
        if entry.terms is not None:
            self.post_message(self.Narrow(entry.terms))
        if entry.folds:
            self.unfolded = self.unfolded | {entry.folds}

    def action_fold(self, close: bool) -> None:
        """Show or hide the architectures of the kind under the cursor."""
        entry = self.entries[self.cursor] if self.cursor < len(self.entries) else Entry("")
        if entry.folds:
            self.unfolded = self.unfolded - {entry.folds} if close else self.unfolded | {entry.folds}

    def on_line_list_clicked(self, message: LineList.Clicked) -> None:
        """A click chooses."""
        message.stop()
        self.action_choose()

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """The second click of a double click does nothing more."""
        message.stop()

    def on_click(self, event: events.Click) -> None:
        """A click on the arrow only folds."""
        offset = event.get_content_offset(self)
        number = None if offset is None else self._row_at(event)
        if offset is None or number is None or offset.x > 2 or not self.entries[number].folds:
            return
        event.prevent_default()
        self.unfolded = self.unfolded ^ {self.entries[number].folds}


def _entries(survey: Survey, unfolded: frozenset[str]) -> Iterator[Entry]:
    """The lines for a survey."""
    yield Entry("All assets", survey.total, {"kind": None, "arch": None, "tag": None, "path": None})
    if survey.kinds:
        yield from _title("KINDS")
    for kind, count in survey.kinds.items():
        parts = {name: n for name, n in survey.architectures[kind].items() if name}
        yield Entry(kind, count, {"kind": kind, "arch": None}, folds=kind if parts else "")
        if kind in unfolded:
            yield from (Entry(name, n, {"kind": kind, "arch": name}, 1) for name, n in parts.items())
    if survey.tags:
        yield from _title("TAGS")
    yield from (Entry(tag, n, {"tag": tag}) for tag, n in list(survey.tags.items())[:_TAGS])
    if survey.folders:
        yield from _title("FOLDERS")
    yield from (Entry(path.name or str(path), n, {"path": f"{path}/"}) for path, n in survey.folders.items())


def _title(text: str) -> Iterator[Entry]:
    yield Entry("")
    yield Entry(text)
