"""A text in a box, to be read and closed."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from modelhub.text import printable


class ReportDialog(ModalScreen[None]):
    """A title and a text of any length."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,w", "dismiss(None)", "Close", show=False, id="report.close"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """The text may scroll."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = self._title
            with VerticalScroll(classes="report"):
                yield Static(printable(self._text) or "Nothing is chosen yet.", markup=False)
            yield Static("arrows scroll · escape closes", markup=False, classes="keys")
