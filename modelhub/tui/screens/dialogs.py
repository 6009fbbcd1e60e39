"""Small dialogs: an error with its next step, a question of yes or no, one with a line as its answer, and a note."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Button, Input, Static, TextArea

from modelhub.errors import ModelhubError
from modelhub.text import one_line, printable
from modelhub.tui.commands.suggestions import CompletingInput


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


def confirm(asker: DOMNode, title: str, text: str, button: str, do: Callable[[], object]) -> None:
    """Ask with a `ConfirmDialog`, and `do` it unless that was left."""

    def answered(yes: bool | None) -> None:
        if yes:
            do()

    asker.app.push_screen(ConfirmDialog(title, text, button), answered)


class AskDialog(ModalScreen[str | None]):
    """A title, a line to type into, and what it is for; gives the text, or None when it was left with escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", show=False, id="ask.cancel")]

    def __init__(
        self, title: str, help: str, value: str = "", *, placeholder: str = "", suggester: Suggester | None = None
    ) -> None:
        super().__init__()
        self._title, self._help, self._value, self._placeholder = title, help, value, placeholder
        self._suggester = suggester

    def compose(self) -> ComposeResult:
        """The field between what it is and how to leave."""
        value, placeholder, suggester = one_line(self._value), self._placeholder, self._suggester
        with Vertical(classes="dialog -wide") as box:
            box.border_title = self._title
            yield Static(self._help, markup=False, classes="help")
            yield CompletingInput(
                value, placeholder=placeholder, suggester=suggester, compact=True, select_on_focus=False
            )
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
        Binding("ctrl+s", "take", "Take", show=False, id="note.take"),
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


class ReportDialog(ModalScreen[None]):
    """A sentence, if there is one, and lines that say more, to be read at leisure."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,w", "dismiss(None)", "Close", show=False, id="report.close"),
        Binding("j", "scroll(1)", "Down", show=False, id="report.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="report.up"),
    ]

    def __init__(self, title: str, says: str, lines: Iterable[str]) -> None:
        super().__init__()
        self._title, self._says, self._lines = title, says, list(lines)

    def compose(self) -> ComposeResult:
        """The sentence above the lines."""
        with Vertical(classes="dialog -wide -report") as box:
            box.border_title = self._title
            if self._says:
                yield Static(printable(self._says), markup=False, classes="help")
            with VerticalScroll():
                yield Static(printable("\n".join(self._lines)), markup=False, id="lines")
            yield Static("↑ ↓ scroll · escape leaves", markup=False, classes="keys")

    def action_scroll(self, lines: int) -> None:
        """Up or down."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
