"""Copy: everything that can be copied of an asset, to choose from."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from modelhub.catalog.asset import Asset
from modelhub.text import brief, one_line, pad
from modelhub.tui.detail.copies import Copy, copies

_LABEL, _TEXT = 16, 110


class CopyDialog(ModalScreen[Copy | None]):
    """Gives what was chosen, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Cancel", show=False, id="copy.cancel"),
        Binding("j", "move(1)", "Down", show=False, id="copy.down"),
        Binding("k", "move(-1)", "Up", show=False, id="copy.up"),
    ]

    def __init__(self, asset: Asset) -> None:
        super().__init__()
        self._asset, self._copies = asset, copies(asset)

    def compose(self) -> ComposeResult:
        """A line for each."""
        with Vertical(classes="dialog -wide -copy") as box:
            box.border_title = "Copy"
            yield Static(one_line(self._asset.name), markup=False, classes="help")
            yield OptionList(*(Option(self._line(one)) for one in self._copies), compact=True, classes="one-line")
            lacks = not all(self._asset.hashes.values())
            more = " · in the library, H makes the hashes that lack" if lacks else ""
            yield Static(f"enter copies · escape leaves{more}", markup=False, classes="keys")

    def _line(self, one: Copy) -> Content:
        return Content.assemble((pad(one.label, _LABEL), "$foreground 60%"), brief(" ".join(one.text.split()), _TEXT))

    def on_mount(self) -> None:
        """The first is what is copied most."""
        self.query_one(OptionList).highlighted = 0

    def action_move(self, lines: int) -> None:
        """Down or up."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if lines > 0 else options.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._copies[event.option_index])
