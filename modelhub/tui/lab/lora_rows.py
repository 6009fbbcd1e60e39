"""The LoRAs of the merge lab: a slider for the strength of each, and a line that adds one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from modelhub.catalog.asset import Asset
from modelhub.text import one_line, pad
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.slider import Slider

#: The ends of the track, and how strong a LoRA is at first. More or less can be typed.
_LOW, _HIGH, _FIRST = -1.0, 2.0, 1.0
_LEAST_NAME = 12


class Strength(Slider):
    """How strongly a LoRA is baked in; delete takes it out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete", "remove", "Take out", show=False, id="strength.remove"),
        Binding("up", "app.focus_previous", "Up", show=False, id="strength.up"),
        Binding("down", "app.focus_next", "Down", show=False, id="strength.down"),
    ]

    @dataclass
    class Removed(Message):
        """The user wants this LoRA no more."""

        strength: Strength

    def __init__(self, asset: Asset, value: float = _FIRST) -> None:
        super().__init__(one_line(asset.path.stem), value, _LOW, _HIGH)
        self.asset = asset
        self.tooltip = Text(f"{one_line(asset.name)}: strength, 0 leaves it out; delete takes it away")

    @property
    def head(self) -> str:
        """The name has up to two thirds of the line."""
        return pad(self.label, max(_LEAST_NAME, self.size.width * 2 // 3 - 2))

    def action_remove(self) -> None:
        """Take the LoRA out."""
        self.post_message(self.Removed(self))


class AddLora(Widget, can_focus=True):
    """`+ add a LoRA`: enter or a click asks for one."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "add", "Add", show=False, id="loras.add"),
        Binding("up", "app.focus_previous", "Up", show=False, id="loras.up"),
        Binding("down", "app.focus_next", "Down", show=False, id="loras.down"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"loras--sign", "loras--muted"}

    class Pressed(Message):
        """The user wants one more."""

    def render(self) -> Text:
        """One line."""
        return Text.assemble(
            (" + ", ink(self, "loras--sign")), " ", ("LoRA: enter adds one", ink(self, "loras--muted")), end=""
        )

    def action_add(self) -> None:
        """Ask for a LoRA."""
        self.post_message(self.Pressed())

    def on_click(self) -> None:
        """Ask for a LoRA."""
        self.action_add()


class LoraRows(VerticalScroll, can_focus=False):
    """All of them, in the order in which they are baked in."""

    class Changed(Message):
        """One more, or one less."""

    def compose(self) -> ComposeResult:
        """Nothing but the line that adds one."""
        yield AddLora()

    @property
    def chosen(self) -> list[tuple[Asset, float]]:
        """Each LoRA with its strength."""
        return [(row.asset, row.value) for row in self.query(Strength)]

    def add(self, asset: Asset, value: float = _FIRST) -> Strength:
        """One more LoRA, below the others."""
        row = Strength(asset, value)
        self.mount(row, before=self.query_one(AddLora))
        self.call_after_refresh(self._tell)
        return row

    async def put(self, loras: Sequence[tuple[Asset, float]]) -> None:
        """These in place of those that are there."""
        await self.query(Strength).remove()
        await self.mount_all([Strength(asset, value) for asset, value in loras], before=self.query_one(AddLora))
        self._tell()

    async def on_strength_removed(self, message: Strength.Removed) -> None:
        """One less; the focus goes to what is below it."""
        message.stop()
        self.app.action_focus_next()
        await message.strength.remove()
        self._tell()

    def _tell(self) -> None:
        self.post_message(self.Changed())
