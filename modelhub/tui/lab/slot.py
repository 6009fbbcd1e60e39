"""A slot of the merge lab: a letter and the model that stands for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.catalog.asset import Asset
from modelhub.text import one_line, shorten
from modelhub.tui.library import term
from modelhub.tui.widgets.ink import ink


def partners(models: Iterable[Asset | None]) -> str:
    """The query for what can be merged with the first of these: of its architecture, if that is known."""
    first = next(filter(None, models), None)
    same = f" {term('arch', first.architecture)}" if first is not None and first.architecture else ""
    return f"(kind:checkpoint OR kind:diffusion-model) format:safetensors missing:no{same}"


class Slot(Widget, can_focus=True):
    """`A  name   base sd1 fp16`, role and facts; enter or a click asks for another model, delete empties it."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "pick", "Choose", show=False, id="slot.pick"),
        Binding("delete,backspace", "empty", "Empty", show=False, id="slot.empty"),
        Binding("up", "app.focus_previous", "Up", show=False, id="slot.up"),
        Binding("down", "app.focus_next", "Down", show=False, id="slot.down"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"slot--letter", "slot--name", "slot--muted"}

    asset: reactive[Asset | None] = reactive(None)
    role: reactive[str] = reactive("")

    @dataclass
    class Pick(Message):
        """The user wants another model here."""

        slot: Slot

    @dataclass
    class Emptied(Message):
        """The user wants no model here."""

        slot: Slot

    def __init__(self, letter: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.letter = letter

    def render(self) -> Text:
        """One line."""
        text = Text.assemble((f" {self.letter} ", ink(self, "slot--letter")), " ", no_wrap=True, end="")
        if self.asset is None:
            what = f"{self.role}: " if self.role else ""
            return text.append(f"{what}enter chooses a model", ink(self, "slot--muted"))
        facts = " ".join(word for word in (self.role, self.asset.architecture, self.asset.dtype) if word)
        room = max(8, self.size.width - len(facts) - 6)
        text.append(shorten(one_line(self.asset.path.stem), room), ink(self, "slot--name"))
        return text.append(f"  {facts}", ink(self, "slot--muted"))

    def action_pick(self) -> None:
        """Ask for a model."""
        self.post_message(self.Pick(self))

    def action_empty(self) -> None:
        """Take the model out."""
        self.asset = None
        self.post_message(self.Emptied(self))

    def on_click(self) -> None:
        """Ask for a model."""
        self.action_pick()
