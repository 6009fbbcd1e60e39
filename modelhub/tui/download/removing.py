"""What becomes of the bytes that came, when downloads are taken out of the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from modelhub.text import human_size, one_line, plural
from modelhub.tui.download.rows import QueueRow

_NAMED = 6


class RemoveDialog(ModalScreen[bool | None]):
    """Gives whether the parts are to be kept, None when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "dismiss(None)", "Cancel", show=False, id="remove.cancel"),
        Binding("enter,y", "dismiss(False)", "Remove", show=False, id="remove.take"),
        Binding("k", "dismiss(True)", "Keep the part", show=False, id="remove.keep"),
    ]

    def __init__(self, rows: Sequence[QueueRow]) -> None:
        super().__init__()
        self._rows = rows
        self._came = sum(row.done for row in rows if row.state != "done")

    def compose(self) -> ComposeResult:
        """The names above the buttons."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Take out of the queue"
            yield Static("\n".join(self._lines()), markup=False, id="message")
            with Horizontal(classes="buttons"):
                yield Button("Remove", variant="primary", compact=True, id="take")
                if self._came:
                    yield Button("Keep the part", compact=True, id="keep")
            keep = "k keeps what came · " if self._came else ""
            yield Static(f"enter removes · {keep}escape leaves", markup=False, classes="keys")

    def _lines(self) -> list[str]:
        lines = [one_line(row.glance.title) for row in self._rows[:_NAMED]]
        if len(self._rows) > _NAMED:
            lines.append(f"and {len(self._rows) - _NAMED:,} more")
        if self._came:
            lines += ["", f"{human_size(self._came)} have come, and are deleted unless they are kept for another try."]
        if done := sum(row.state == "done" for row in self._rows):
            lines += ["", f"{plural(done, 'download')} {'is' if done == 1 else 'are'} done: the files stay."]
        return lines

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "keep")
