"""The naming dialog: what the user says files are, where their bytes do not tell, and a way to take it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from modelhub.catalog.architectures import architectures
from modelhub.catalog.asset import Asset
from modelhub.catalog.kinds import KINDS
from modelhub.text import one_line, plural
from modelhub.tui.widgets.field import TextField

#: The user's word is nothing, or the same for none of the assets.
_FOUND, _MIXED = "", "-"


class Kinds(OptionList):
    """Enter takes the whole dialog, a click only chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.take", "Take", show=False, id="naming.take"),
    ]


class NamingDialog(ModalScreen[dict[str, str] | None]):
    """A kind from the list and an architecture as text; gives what changed ("" takes a word back), or None.

    `known` are architectures to suggest beside those that modelhub can tell.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="naming.cancel"),
        Binding("enter", "take", "Take", show=False, id="naming.take"),
    ]

    def __init__(self, assets: Sequence[Asset], known: Iterable[str] = ()) -> None:
        super().__init__()
        self._assets = assets
        self._known = sorted({one.id for one in architectures()} | set(known))
        self._before = {name: _common(assets, name) for name in ("kind", "architecture")}

    def compose(self) -> ComposeResult:
        """Kinds above, the architecture below."""
        kind, architecture = self._before["kind"], self._before["architecture"]
        with Vertical(classes="dialog") as box:
            box.border_title = "What it is"
            whose = one_line(self._assets[0].name) if len(self._assets) == 1 else plural(len(self._assets), "asset")
            yield Static(whose, markup=False, classes="help")
            yield Kinds(*self._kinds(), compact=True)
            yield Static("architecture", markup=False)
            yield TextField(
                "" if architecture == _MIXED else architecture,
                placeholder="they differ; auto: as the files say" if architecture == _MIXED else self._found(),
                suggester=SuggestFromList(self._known, case_sensitive=False),
                compact=True,
            )
            yield Static("tab moves on · → completes · enter takes · escape leaves", classes="keys")
        self.call_after_refresh(self._point_at, kind)

    def _kinds(self) -> list[Option]:
        mixed = [Option("leave as they are", id=_MIXED)] if self._before["kind"] == _MIXED else []
        found = {asset.found.get("kind") or "unknown" for asset in self._assets}
        says = f"as the file says: {found.pop()}" if len(found) == 1 else "as the files say"
        return [*mixed, Option(Content(says), id="auto"), *(Option(kind, id=kind) for kind in KINDS)]

    def _found(self) -> str:
        found = {asset.found.get("architecture") or "unknown" for asset in self._assets}
        return f"as the file says: {one_line(found.pop())}" if len(found) == 1 else "as the files say"

    def _point_at(self, kind: str) -> None:
        kinds = self.query_one(OptionList)
        kinds.highlighted = kinds.get_option_index(kind or "auto")

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Say what changed."""
        option = self.query_one(OptionList).highlighted_option
        kind = option.id or _MIXED if option else _MIXED
        architecture = self.query_one(Input).value.strip().lower()
        if not architecture and self._before["architecture"] == _MIXED:
            architecture = _MIXED
        now = {"kind": kind, "architecture": architecture}
        plain = {name: _FOUND if word == "auto" else word for name, word in now.items()}
        self.dismiss({name: word for name, word in plain.items() if word != self._before[name]})


def _common(assets: Sequence[Asset], name: str) -> str:
    """What the user said of all of them."""
    said = {asset.said.get(name, _FOUND) for asset in assets}
    return said.pop() if len(said) == 1 else _MIXED
