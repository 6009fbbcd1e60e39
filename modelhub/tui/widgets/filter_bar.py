"""The filter bar: a query typed over the list, and under it what it found or why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from modelhub.text import width

_PAUSE = 0.08
#: Columns before the field.
_PROMPT = 3


class FilterBar(Widget):
    """`query` is what stands in the bar, `summary` what the list shows, `problem` the sentence of a bad query."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Clear and go to the list", show=False, id="filter.clear"),
        Binding("down", "leave(False)", "Go to the list", show=False, id="filter.leave"),
    ]

    summary: reactive[Content] = reactive(Content())
    problem: reactive[str] = reactive("")
    caret: reactive[int | None] = reactive(None)

    @dataclass
    class Changed(Message):
        """The query is another, and the typing paused."""

        query: str

    class Left(Message):
        """The user is done with the bar."""

    def __init__(self, *, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._placeholder = placeholder
        self._pause: Timer | None = None

    def compose(self) -> ComposeResult:
        """The prompt, the input and the line below."""
        with Horizontal():
            yield Static(" / ", id="slash", markup=False)
            yield Input(placeholder=self._placeholder, compact=True, select_on_focus=False, id="query")
        yield Static(id="summary", markup=False)

    def on_mount(self) -> None:
        """The caret stays under its character when a long query moves."""
        self.watch(self.input, "scroll_x", self._show, init=False)

    def on_resize(self) -> None:
        """The reason may need another place."""
        self._show()

    @property
    def input(self) -> Input:
        """The field that is typed into."""
        return self.query_one(Input)

    @property
    def text(self) -> str:
        """The query."""
        return self.input.value

    def put(self, query: str) -> None:
        """Replace the query as if it had been typed, without the pause."""
        with self.input.prevent(Input.Changed):
            self.input.value = query
        self.input.cursor_position = len(query)
        self._say()

    def complain(self, reason: str, at: int | None) -> None:
        """Say what is wrong with the query; `at`: under which of its characters."""
        self.caret = at
        self.problem = reason

    def watch_caret(self) -> None:
        """Show it."""
        self._show()

    def watch_summary(self) -> None:
        """Show it."""
        self._show()

    def watch_problem(self) -> None:
        """Show it."""
        self._show()

    def _show(self) -> None:
        self.set_class(bool(self.problem), "-bad")
        self.remove_class("-tall")
        line = self.query_one("#summary", Static)
        line.update(Content(self._complaint()) if self.problem else Content.assemble("   ", self.summary))

    def _complaint(self) -> str:
        """The reason beside a caret under the mistake, or above it where neither side has the room."""
        if self.caret is None:
            return f"   {self.problem}"
        left = _PROMPT + max(0, width(self.text[: self.caret]) - self.input.scroll_offset.x)
        left = min(left, max(_PROMPT, self.size.width - 1))
        long = width(self.problem)
        beside = left + 2 + long <= self.size.width or left > long + _PROMPT
        self.set_class(not beside, "-tall")
        if left + 2 + long <= self.size.width:
            return f"{' ' * left}^ {self.problem}"
        if beside:
            return f"{self.problem:>{left - 1 - long + len(self.problem)}} ^"
        return f"{' ' * left}^\n   {self.problem}"

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._say)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._say()
        self.post_message(self.Left())

    def _say(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        self.post_message(self.Changed(self.text).set_sender(self))

    def action_leave(self, clear: bool) -> None:
        """To the list; `clear` empties the bar first."""
        if clear and self.text:
            self.put("")
        self.post_message(self.Left())

    def on_click(self, event: events.Click) -> None:
        """A click anywhere in the bar is a click into the field."""
        self.input.focus()
