"""Inspect: everything in a file, and whether it would run code; nothing of it is run. Tensors stand in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Label, Static

from modelhub.convert.inspect import Inspection, inspect
from modelhub.errors import ModelhubError
from modelhub.text import one_line
from modelhub.tui.actions import bindings
from modelhub.tui.convert.inspect_facts import InspectFacts
from modelhub.tui.convert.tensor_list import TensorList
from modelhub.tui.screens.place import NARROW, WIDE
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.key_bar import KeyBar
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.formats.header import TensorInfo

_PAUSE = 0.1


class FactsPane(VerticalScroll, can_focus=True):
    """The facts, to be scrolled."""


class InspectScreen(Screen[None]):
    """One file, set of shards or folder."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-normal"), (WIDE, "-wide")]  # noqa: RUF012 (Textual's)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("inspect")]
    AUTO_FOCUS = "#inspect-facts"
    scope: ClassVar[str] = "inspect"

    @dataclass
    class Seen(Message):
        """What was found, or why nothing was."""

        seen: Inspection | None
        error: ModelhubError | None = None

    @dataclass
    class Filtered(Message):
        """The tensors that fit a pattern."""

        pattern: str
        tensors: Sequence[tuple[str, TensorInfo]]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._seen: Inspection | None = None

    def compose(self) -> ComposeResult:
        """Title, facts, tensors."""
        yield Static(one_line(str(self.path)), markup=False, id="inspect-title")
        with Horizontal(id="inspect-panes"):
            with FactsPane(id="inspect-facts"):
                yield InspectFacts()
            with Vertical(id="inspect-right"):
                with Horizontal(id="inspect-filter"):
                    yield Label(" / ", markup=False)
                    yield TextField(placeholder="part of a name, or *.attn2.*", compact=True, select_on_focus=False)
                    yield Label("", markup=False, id="inspect-count")
                yield TensorList(id="tensors")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look."""
        self._inspect()

    @property
    def tensors(self) -> TensorList:
        """The list at the right."""
        return self.query_one(TensorList)

    @background("inspect")
    def _inspect(self, job: WorkerJob) -> None:
        try:
            job.post(self.Seen(inspect(self.path)))
        except ModelhubError as error:
            job.post(self.Seen(None, error))

    @on(Seen)
    def _inspected(self, message: Seen) -> None:
        self._seen = message.seen
        facts = self.query_one(InspectFacts)
        if message.error is not None:
            facts.nothing = f"{message.error.message}\n{message.error.hint}".strip()
            facts.refresh(layout=True)
        else:
            facts.seen = message.seen
            self._filter(self.query_one(Input).value)

    # -- tensors -------------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _typed(self) -> None:
        self.set_timer(_PAUSE, lambda: self._filter(self.query_one(Input).value))

    @on(Input.Submitted)
    def _taken(self) -> None:
        self.tensors.focus()

    @background("filter")
    def _filter(self, job: WorkerJob, pattern: str) -> None:
        if self._seen is not None:
            job.post(self.Filtered(pattern, [*self._seen.tensors(pattern)]))

    @on(Filtered)
    def _filtered(self, message: Filtered) -> None:
        if message.pattern != self.query_one(Input).value or self._seen is None:
            return
        self.tensors.show(message.tensors)
        of = f" of {len(self._seen.header.tensors):,}" if message.pattern else ""
        self.query_one("#inspect-count", Label).update(f"{len(message.tensors):,}{of} tensors")

    # -- what can be done ----------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a part of a name."""
        self.query_one(Input).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash that is typed into the field is a slash."""
        return not (action == "filter" and isinstance(self.focused, Input))

    def action_tensors(self) -> None:
        """To the tensors, or back to the facts."""
        (self.query_one(FactsPane) if self.focused is self.tensors else self.tensors).focus()

    def action_copy(self) -> None:
        """The name of the tensor under the cursor, or the findings."""
        is_list = self.focused is self.tensors
        findings = self._seen.findings if self._seen else ()
        lines = [f"{one.level}: {one.message} {one.hint}".strip() for one in findings]
        text, what = (self.tensors.current, "a name") if is_list else ("\n".join(lines), "findings")
        if text:
            self.app.copy_to_clipboard(text)
        says = f"Copied {what}." if text else f"There is nothing to copy: no {what.removeprefix('a ')}."
        self.notify(says, markup=False, timeout=2)

    def action_back(self) -> None:
        """Clear the filter, else leave."""
        field = self.query_one(Input)
        if isinstance(self.focused, Input):
            field.value = ""
            self.tensors.focus()
        else:
            self.dismiss(None)
