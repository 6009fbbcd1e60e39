"""The tag editor: all tags there are, those of the selection ticked, and a line for new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.widgets.selection_list import Selection

from modelhub.catalog.asset import Asset
from modelhub.text import one_line, plural
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickList


@dataclass(frozen=True, slots=True)
class TagChange:
    """Tags to add to and to remove from the assets."""

    add: tuple[str, ...]
    remove: tuple[str, ...]


class TagDialog(ModalScreen[TagChange | None]):
    """Tick and untick tags, type new ones separated by commas; gives the change, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="tags.cancel"),
        Binding("enter", "take", "Take", show=False, id="tags.take"),
        Binding("down", "to_list", "To the tags", show=False, id="tags.list"),
    ]

    def __init__(self, assets: Sequence[Asset], tags: Mapping[str, int]) -> None:
        super().__init__()
        self._assets, self._tags = assets, tags
        self._before = frozenset.intersection(*(frozenset(asset.tags) for asset in assets))

    def compose(self) -> ComposeResult:
        """New tags above, known ones below."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Tags"
            whose = one_line(self._assets[0].name) if len(self._assets) == 1 else plural(len(self._assets), "asset")
            yield Static(whose, markup=False, classes="help")
            yield TextField(placeholder="new tags, separated by commas", compact=True)
            yield TickList(*(self._choice(tag) for tag in self._tags), compact=True)
            yield Static("space ticks · enter takes · escape leaves", markup=False, classes="keys")

    def _choice(self, tag: str) -> Selection[str]:
        having = sum(tag in asset.tags for asset in self._assets)
        some = f"  on {having:,} of {len(self._assets):,}" if 0 < having < len(self._assets) else ""
        return Selection(Content(f"{one_line(tag)}{some}"), tag, tag in self._before)

    def on_mount(self) -> None:
        """Without tags there is nothing to tick."""
        self.query_one(TickList).display = bool(self._tags)

    def action_to_list(self) -> None:
        """From the line to the ticks."""
        self.query_one(TickList).focus()

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Say what changed."""
        typed = tuple(word.strip() for word in self.query_one(Input).value.split(",") if word.strip())
        ticked = frozenset(self.query_one(TickList).selected)
        add = (*typed, *(tag for tag in ticked if tag not in self._before))
        self.dismiss(TagChange(add, tuple(self._before - ticked - frozenset(typed))))
