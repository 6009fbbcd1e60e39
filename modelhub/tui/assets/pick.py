"""Choose a model: the finder in a dialog, over the models that fit."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from modelhub.catalog.asset import Asset
from modelhub.tui.assets.filter_bar import FilterBar
from modelhub.tui.assets.finder import Finder
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList


class PickDialog(ModalScreen[Asset | None]):
    """`base` is the query of what may be chosen, `empty` what to say where it finds nothing; gives the asset."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, priority=True, id="pick.cancel"),
        Binding("enter", "take", "Choose", show=False, id="pick.take"),
        Binding("slash", "filter", "Filter", show=False, id="pick.filter"),
    ]

    def __init__(self, library: Library, title: str, base: str, empty: str) -> None:
        super().__init__()
        self._library, self._title, self._base, self._empty = library, title, base, empty

    def compose(self) -> ComposeResult:
        """A finder in a box."""
        with Vertical(classes="dialog -tall") as box:
            box.border_title = self._title
            yield Finder(self._library, base=self._base, empty=self._empty)
            yield Static("type to filter · arrows move · enter chooses · escape leaves", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Typing filters at once."""
        self.query_one(FilterBar).input.focus()

    def action_filter(self) -> None:
        """Back to the bar."""
        self.query_one(FilterBar).input.focus()

    @on(Finder.Entered)
    def _entered(self) -> None:
        """What was typed found it; where it found nothing, more can be typed."""
        if self.query_one(FilterBar).problem or not self.query_one(Finder).assets.count:
            self.action_filter()
            self.app.bell()
        else:
            self.action_take()

    @on(LineList.Chosen)
    def action_take(self) -> None:
        """The model under the cursor."""
        asset = self.query_one(Finder).assets.current
        if asset is None:
            self.app.bell()
        else:
            self.dismiss(asset)
