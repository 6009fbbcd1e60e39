"""A setting as a field: checked as it is typed, written at once, with its help and what is wrong below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from modelhub.errors import UsageError
from modelhub.text import one_line, printable
from modelhub.tui.commands.suggestions import CompletingInput, PathSuggester
from modelhub.tui.settings.fields import SettingField, read_value

#: Seconds that typing pauses before a value is written.
_PAUSE = 0.5


class SettingRow(Vertical):
    """One setting; `Said` tells a value that it may have."""

    @dataclass
    class Said(Message):
        """The user wants another value."""

        name: str
        value: Any

    def __init__(self, field: SettingField, value: Any, default: Any) -> None:
        super().__init__(id=f"set-{field.name.replace('_', '-')}")
        self.field, self._value, self._default = field, value, default
        self._pause: Timer | None = None

    def compose(self) -> ComposeResult:
        """Name and control over the help."""
        with Horizontal(classes="line"):
            yield Static(self.field.title, markup=False, classes="name")
            yield self._control()
        default = f" Default: {self._default}." if self._default not in ("", None) else ""
        yield Static(f"{self.field.help}{default}", markup=False, classes="hint")
        yield Static(markup=False, classes="trouble")

    def _control(self) -> Widget:
        if self.field.choices:
            choices = [(one, one) for one in self.field.choices]
            return Select(choices, value=self._value, allow_blank=False, compact=True)
        about = self.field.about
        return CompletingInput(
            one_line(str(self._value)),
            suggester=PathSuggester(folders=about == "folder") if about else None,
            compact=True,
            select_on_focus=False,
        )

    @on(Select.Changed)
    def _chosen(self, event: Select.Changed) -> None:
        event.stop()
        self._say(str(event.value))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._pause is not None:
            self._pause.stop()
        if self._read(event.value) is not None:
            self._pause = self.set_timer(_PAUSE, self._take)

    @on(Input.Submitted)
    @on(Input.Blurred)
    def _done(self, event: Message) -> None:
        event.stop()
        self._take()

    def _take(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        text = self.query_one(Input).value
        if text != one_line(str(self._value)):  # else nothing was typed: a line break is shown escaped, and stays one
            self._say(text)

    def _say(self, text: str) -> None:
        found = self._read(text)
        if found is not None and found[0] != self._value:
            self._value = found[0]
            self.post_message(self.Said(self.field.name, found[0]))

    def _read(self, text: str) -> tuple[Any] | None:
        """The value in the text; None, and a sentence below the field, if it cannot be one."""
        trouble, found = "", None
        try:
            found = (read_value(self.field.name, text),)
        except UsageError as error:
            trouble = f"{error.message.removeprefix('settings.toml: ')} {error.hint}"
        line = self.query_one(".trouble", Static)
        line.display = bool(trouble)
        line.update(printable(trouble))
        return found
