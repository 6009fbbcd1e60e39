"""The filter bar: a query typed over the list and completed, and under it what it found or what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
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

from modelhub.text import one_line, width
from modelhub.tui.assets.choices import Choices
from modelhub.tui.assets.completing import NONE, Choice, Completion, Values, complete, taken
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.line_list import LineList

_PAUSE = 0.08
#: Columns before the field.
_PROMPT = 3
#: Queries that are remembered.
_PAST = 100


class FilterBar(Widget):
    """`query` is what stands in the bar, `summary` what the list shows, `problem` the sentence of a bad query.

    `values` gives what may stand behind a field; without it nothing is completed. `history`: the queries that were
    used, the last one first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Close, or clear and leave", show=False, id="filter.clear"),
        Binding("down", "down", "Next choice, or to the list", show=False, id="filter.leave"),
        Binding("up", "up", "Choice before, or past queries", show=False, id="filter.up"),
        Binding("tab,ctrl+@", "complete", "Complete", show=False, id="filter.complete"),
    ]  # fmt: skip

    summary: reactive[Content] = reactive(Content())
    problem: reactive[str] = reactive("")
    caret: reactive[int | None] = reactive(None)

    @dataclass
    class Changed(Message):
        """The query is another, and the typing paused."""

        query: str

    @dataclass
    class Left(Message):
        """The user is done with the bar; `entered`: by enter, which means what stands in it."""

        entered: bool = False

    def __init__(
        self, query: str = "", *, placeholder: str = "", history: Sequence[str] = (), id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.input = TextField(query, placeholder=placeholder, compact=True, select_on_focus=False, id="query")
        self.choices = Choices(id="choices")
        self._line = Static(id="summary", markup=False)
        self._pause: Timer | None = None
        self._completion, self._is_past, self._waits = NONE, False, False
        self.history = list(history)
        self.values: Values | None = None

    def compose(self) -> ComposeResult:
        """The prompt, the input, the line below, and the choices over what lies further down."""
        with Horizontal():
            yield Static(" / ", id="slash", markup=False)
            yield self.input
        yield self._line
        yield self.choices

    def on_mount(self) -> None:
        """The caret stays under its character when a long query moves."""
        self.choices.display = False
        self.watch(self.input, "scroll_x", self._show, init=False)

    def on_resize(self) -> None:
        """The reason may need another place."""
        self._show()

    @property
    def is_choosing(self) -> bool:
        """Whether choices are shown."""
        return self.choices.display

    @property
    def text(self) -> str:
        """The query."""
        return self.input.value

    def put(self, query: str) -> None:
        """Replace the query as if it had been typed, without the pause."""
        self._write(query, len(query))
        self.close()
        self._say()

    def _write(self, query: str, cursor: int) -> None:
        with self.input.prevent(Input.Changed):
            self.input.value = query
        self.input.cursor_position = cursor

    # -- the line below --------------------------------------------------------------------------------------------

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
        self._line.update(Content(self._complaint()) if self.problem else Content.assemble("   ", self.summary))

    def _complaint(self) -> str:
        """The reason beside a caret under the mistake, or above it where neither side has the room."""
        if self.caret is None:
            return f"   {self.problem}"
        left = min(self._column(self.caret), max(_PROMPT, self.size.width - 1))
        long = width(self.problem)
        beside = left + 2 + long <= self.size.width or left > long + _PROMPT
        self.set_class(not beside, "-tall")
        if left + 2 + long <= self.size.width:
            return f"{' ' * left}^ {self.problem}"
        if beside:
            return f"{self.problem:>{left - 1 - long + len(self.problem)}} ^"
        return f"{' ' * left}^\n   {self.problem}"

    def _column(self, at: int) -> int:
        """Where a character of the query stands."""
        return _PROMPT + max(0, width(self.text[:at]) - self.input.scroll_offset.x)

    # -- typing ----------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._say)
        self.complete()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if choice := self.choices.choice if self.is_choosing else None:
            self._take(choice)
            return
        self.close()
        self._say()
        self._remember()
        self.post_message(self.Left(entered=True))

    def _say(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        self.post_message(self.Changed(self.text).set_sender(self))

    def _remember(self) -> None:
        """The query was meant: it can be had again."""
        query = self.text.strip()
        if query and not self.problem:
            self.history = [query, *(one for one in self.history if one != query)][:_PAST]

    # -- choices ---------------------------------------------------------------------------------------------------

    def complete(self, *, asked: bool = False) -> None:
        """Offer what may stand at the cursor; all fields only where that is `asked` for."""
        if self.values is not None:
            found = complete(self.text, self.input.cursor_position, self.values)
            self._offer(found if asked or found.start < found.end else NONE)

    def learned(self) -> None:
        """There are more `values` than before."""
        if self.input.has_focus and self._waits:
            self.complete()

    def close(self) -> None:
        """No choices, until something is typed."""
        self._offer(NONE)
        self._waits = False

    def _offer(self, completion: Completion, *, past: bool = False) -> None:
        self._completion, self._is_past, self._waits = completion, past, not past
        self.choices.offer(completion.choices, first=completion.sure)
        left = min(self._column(completion.start) - 1, max(0, self.size.width - 30))
        self.choices.styles.offset = (max(0, left), 0)

    def _take(self, choice: Choice) -> None:
        was_past = self._is_past
        self._write(*taken(self.text, self._completion, choice))
        if was_past or not choice.put.endswith(":"):
            self.close()
        else:
            self.complete()
        self._say()

    def action_complete(self) -> None:
        """Take the choice that is lit, else the first; without choices show what there is."""
        if self.is_choosing:
            self._take(self.choices.choice or self.choices.choices[0])
        else:
            self.complete(asked=True)

    def action_down(self) -> None:
        """The next choice, or to the list."""
        if self.is_choosing:
            self.choices.step(1)
        else:
            self.action_leave(False)

    def action_up(self) -> None:
        """The choice before, or the queries of the past."""
        if self.is_choosing:
            self.choices.step(-1)
        elif not self.text and self.history:
            past = tuple(Choice(one_line(query), "", query) for query in self.history)
            self._offer(Completion(0, 0, past, True), past=True)

    def action_leave(self, clear: bool) -> None:
        """To the list; `clear` closes the choices, or else empties the bar, first."""
        if clear and self.is_choosing:
            self.close()
            return
        self._remember()
        if clear and self.text:
            self.put("")
        self.close()
        self.post_message(self.Left())

    def on_descendant_blur(self) -> None:
        """Nobody chooses any more."""
        self.close()

    @on(LineList.Clicked)
    def _clicked(self, message: LineList.Clicked) -> None:
        message.stop()
        self._take(self.choices.choices[message.row])
        self.input.focus()

    @on(LineList.Highlighted)
    @on(LineList.Chosen)
    def _quiet(self, message: LineList.RowMessage) -> None:
        """What the choices say is nothing to the list."""
        message.stop()

    def on_click(self, event: events.Click) -> None:
        """A click anywhere in the bar is a click into the field."""
        self.input.focus()
