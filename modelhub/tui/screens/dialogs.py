"""Small dialogs: an error with its next step, a question of yes or no, one with a line as its answer, and a note."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static, TextArea

from modelhub.errors import ModelhubError
from modelhub.text import one_line, printable


class ErrorDialog(ModalScreen[None]):
    """The sentence of an error, and its hint."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss(None)", "Close", show=False, id="error.close"),
    ]

    def __init__(self, error: ModelhubError) -> None:
        super().__init__()
        self.error = error

    def compose(self) -> ComposeResult:
        """Message, hint, one button."""
        with Vertical(classes="dialog -wide -error") as box:
            box.border_title = "That did not work"
            yield Static(self.error.message, markup=False, id="message")
            if self.error.hint:
                yield Static(self.error.hint, markup=False, id="hint")
            with Horizontal(classes="buttons"):
                yield Button("Close", variant="primary", compact=True, id="close")

    @on(Button.Pressed)
    def _close(self) -> None:
        self.dismiss(None)


class ConfirmDialog(ModalScreen[bool]):
    """A title, what would be done, and the word on the button that does it; gives whether it is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "dismiss(False)", "Cancel", show=False, id="confirm.cancel"),
        Binding("enter,y", "dismiss(True)", "Do it", show=False, priority=True, id="confirm.take"),
    ]

    def __init__(self, title: str, text: str, button: str) -> None:
        super().__init__()
        self._title, self._text, self._button = title, text, button

    def compose(self) -> ComposeResult:
        """The text above the button."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = self._title
            yield Static(printable(self._text), markup=False, id="message")
            with Horizontal(classes="buttons"):
                yield Button(self._button, variant="primary", compact=True, id="take")
            yield Static("enter does it · escape leaves", markup=False, classes="keys")

    @on(Button.Pressed)
    def _take(self) -> None:
        self.dismiss(True)


class AskDialog(ModalScreen[str | None]):
    """A title, a line to type into, and what it is for; gives the text, or None when it was left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", show=False, id="ask.cancel")]

    def __init__(self, title: str, help: str, value: str = "", *, placeholder: str = "") -> None:
        super().__init__()
        self._title, self._help, self._value, self._placeholder = title, help, value, placeholder

    def compose(self) -> ComposeResult:
        """The field between what it is and how to leave."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = self._title
            yield Static(self._help, markup=False, classes="help")
            yield Input(one_line(self._value), placeholder=self._placeholder, compact=True, select_on_focus=False)
            yield Static("enter takes it · escape leaves", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Show the end of a long line: the name in a path; the field must have its width first."""
        self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        field = self.query_one(Input)
        if field.cursor_at_end:
            field.cursor_position = 0
            field.action_end()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.dismiss(event.value.strip())


class NoteDialog(ModalScreen[str | None]):
    """A note of any number of lines; gives the text, or None when it was left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, priority=True, id="note.cancel"),
        Binding("ctrl+s", "take", "Take", show=False, priority=True, id="note.take"),
    ]

    def __init__(self, about: str, text: str) -> None:
        super().__init__()
        self._about, self._text = about, text

    def compose(self) -> ComposeResult:
        """The lines between whose they are and how to leave."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Note"
            yield Static(one_line(self._about), markup=False, classes="help")
            yield TextArea(printable(self._text), compact=True)
            yield Static("^s takes it · escape leaves", markup=False, classes="keys")

    def action_take(self) -> None:
        """The text as it stands."""
        self.dismiss(self.query_one(TextArea).text.strip())
