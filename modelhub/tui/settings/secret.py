"""The dialog that takes a token: what is typed or pasted is not shown, and goes nowhere but to where it is kept."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Static

from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickBox


class Secret(NamedTuple):
    """A token, and whether its provider is to be asked whose it is."""

    token: str
    check: bool

    def __repr__(self) -> str:
        return "Secret(…)"


class SecretDialog(ModalScreen[Secret | None]):
    """Asks for a token of `title`, which is made on `page` and kept in `place`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="secret.cancel"),
    ]

    def __init__(self, title: str, page: str, place: str) -> None:
        super().__init__()
        self._title, self._page, self._place = title, page, place

    def compose(self) -> ComposeResult:
        """The field between what it is for and how to leave."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = f"Token of {self._title}"
            says = f"Make one on {self._page}, and paste it here. It is kept in {self._place}, and never shown again."
            yield Static(says, markup=False, classes="help")
            yield TextField(password=True, placeholder="paste the token", compact=True, select_on_focus=False)
            yield TickBox("ask the provider whose it is, before it is kept", True, compact=True)
            with Horizontal(classes="buttons"):
                yield Button("Keep it", variant="primary", compact=True, id="take")
            yield Static("enter keeps it · escape leaves", markup=False, classes="keys")

    @on(Input.Submitted)
    @on(Button.Pressed)
    def _take(self) -> None:
        token = self.query_one(Input).value.strip()
        if token:
            self.dismiss(Secret(token, self.query_one(Checkbox).value))
        else:
            self.app.bell()
