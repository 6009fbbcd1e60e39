"""The dialog of everything that the LoRA place makes: its fields, and below them what would come of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Checkbox, Input, Label, Select, Static

from modelhub.errors import ModelhubError
from modelhub.lora.making.telling import TextRow
from modelhub.text import one_line, printable
from modelhub.tui.loras.making import Making
from modelhub.tui.loras.wishes import ON, Field, Values
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickBox
from modelhub.tui.work import WorkerJob, background

_PAUSE = 0.25
_LABEL = 10


class MakeDialog(ModalScreen[Values | None]):
    """Gives what was filled in, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="make_form.cancel"),
        Binding("ctrl+s", "take", "Make it", show=False, id="make_form.take"),
        Binding("down", "app.focus_next", "Next field", show=False, id="make_form.next"),
        Binding("up", "app.focus_previous", "Field before", show=False, id="make_form.before"),
    ]

    @dataclass
    class Planned(Message):
        """What would come of these values; `error` where nothing would."""

        values: Values
        rows: Sequence[TextRow]
        error: ModelhubError | None = None

    def __init__(self, making: Making) -> None:
        super().__init__()
        self._making = making
        self._fields = tuple(making.fields)
        self._pause: Timer | None = None

    def compose(self) -> ComposeResult:
        """A line for each field, and the outlook."""
        with Vertical(classes="dialog -wide lora-make") as box:
            box.border_title = self._making.title
            yield Static(printable(self._making.about), markup=False, classes="help")
            with VerticalScroll(id="make-fields", can_focus=False):
                for field in self._fields:
                    with Horizontal(classes="lora-line"):
                        yield Label(field.label)
                        yield _widget(field)
            yield Static(id="make-outlook", markup=False)
            yield Static("↑↓ move · ^s or enter makes it · escape leaves", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Plan at once; show the end of the path."""
        self._plan(self.values)
        self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        field = self.query_one("#make-file", Input)
        field.cursor_position = 0
        field.action_end()

    @property
    def values(self) -> dict[str, str]:
        """What is filled in."""
        return {field.name: self._value(field) for field in self._fields}

    def _value(self, field: Field) -> str:
        widget = self.query_one(f"#make-{field.name}")
        if isinstance(widget, Checkbox):
            return ON if widget.value else ""
        if isinstance(widget, Select):
            return str(widget.value)
        assert isinstance(widget, Input)
        return widget.value

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Checkbox.Changed)
    def _changed(self, message: Message) -> None:
        message.stop()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, lambda: self._plan(self.values))

    @background("planning")
    def _plan(self, job: WorkerJob, values: Values) -> None:
        try:
            job.post(self.Planned(values, self._making.plan(values, job)))
        except ModelhubError as error:
            job.post(self.Planned(values, (), error))

    @on(Planned)
    def _planned(self, message: Planned) -> None:
        if message.values != self.values:
            return
        error = message.error
        told = (
            _refused(error)
            if error
            else [(f"{label:<{_LABEL}} ", one_line(text)) for label, text in message.rows if text]
        )
        looks = ("$error", "$foreground 70%") if error else ("$foreground 55%", "")
        lines = [Content.assemble((label, looks[0]), (text, looks[1])) for label, text in told]
        self.query_one("#make-outlook", Static).update(Content("\n").join(lines))

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Make it as it is filled in."""
        self.dismiss(self.values)


def _refused(error: ModelhubError) -> list[tuple[str, str]]:
    return [(printable(error.message), f" {printable(error.hint)}" if error.hint else "")]


def _widget(field: Field) -> Input | Select[str] | Checkbox:
    id = f"make-{field.name}"
    if field.tick:
        return TickBox(Content(field.tick), field.value == ON, compact=True, id=id)
    if field.choices:
        choices = [(one_line(word), value) for word, value in field.choices]
        return Select(choices, value=field.value, allow_blank=False, compact=True, id=id)
    return TextField(one_line(field.value), placeholder=field.hint, compact=True, select_on_focus=False, id=id)
