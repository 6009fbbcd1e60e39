"""Small dialogs of the LoRA place: what can be made, block weights, and trigger words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from modelhub.catalog.data import data_path
from modelhub.catalog.weighing.presets import presets, read_presets
from modelhub.errors import ModelhubError
from modelhub.lora.baking.words import read_block_weights
from modelhub.text import one_line, pad, sparkline
from modelhub.tui.actions import Action
from modelhub.tui.keys.key_names import key_name, split_keys
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickList

_NAME = 28


class MakeMenu(ModalScreen[str | None]):
    """What can be made, each with the keys that it has now; gives the action that is to run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="make.cancel"),
        Binding("j", "walk(1)", "Down", show=False, id="make.down"),
        Binding("k", "walk(-1)", "Up", show=False, id="make.up"),
    ]

    def __init__(self, actions: Sequence[tuple[Action, str]]) -> None:
        super().__init__()
        self._actions = actions

    def compose(self) -> ComposeResult:
        """A line for each."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Make"
            lines = (Option(_line(action, keys), id=action.call) for action, keys in self._actions)
            yield OptionList(*lines, compact=True, classes="one-line")
            yield Static("arrows move · enter takes · escape leaves", markup=False, classes="keys")

    def action_walk(self, by: int) -> None:
        """With the letters, too."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def on_key(self, event: events.Key) -> None:
        """The key of an action takes it."""
        taken = [action.call for action, keys in self._actions if event.key in split_keys(keys)]
        if taken:
            event.stop()
            self.dismiss(taken[0])

    @on(OptionList.OptionSelected)
    def _take(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(message.option.id)


def _line(action: Action, keys: str) -> Content:
    key = key_name(split_keys(keys)[0]) if split_keys(keys) else ""
    return Content.assemble((f" {key:<5}", "bold $accent"), (pad(action.label, 16), "bold"), action.help)


class BlocksDialog(ModalScreen[str | None]):
    """Block weights: a preset, or words; "" for none, None when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, priority=True, id="blocks.cancel"),
    ]

    def __init__(self, name: str, architecture: str | None, blocks: str) -> None:
        super().__init__()
        self._whose, self._architecture, self._blocks = name, architecture, blocks

    def compose(self) -> ComposeResult:
        """Presets with their curves, and a line for one's own."""
        names = lora_presets(self._architecture)
        own = self._blocks if self._blocks not in names else ""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Block weights"
            yield Static(f"of {one_line(self._whose)}, multiplied by its strength", markup=False, classes="help")
            none = Option(" none: the same strength everywhere", id="")
            yield OptionList(none, *map(self._option, names), compact=True, classes="one-line")
            yield Static("or in words:", markup=False, classes="keys")
            yield TextField(own, placeholder="IN04-IN08=0, OUT03=0.5, te=1", compact=True, select_on_focus=False)
            yield Static(id="blocks-say", markup=False)
            yield Static("tab moves on · enter takes · escape leaves", markup=False, classes="keys")
        self.call_after_refresh(self._point, names.index(self._blocks) + 1 if self._blocks in names else 0)

    def _option(self, name: str) -> Option:
        curve = sparkline(presets()[name].values(self._architecture or "").values())
        line = Content.assemble(f" {pad(name, _NAME)}", (curve, "$primary"), (f"  {presets()[name].about}", "dim"))
        return Option(line, id=name)

    def _point(self, at: int) -> None:
        options = self.query_one(OptionList)
        options.highlighted = at
        options.focus()

    @on(OptionList.OptionSelected)
    def _take_preset(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(message.option.id or "")

    @on(Input.Submitted)
    def _take_words(self, message: Input.Submitted) -> None:
        text = message.value.strip()
        try:
            if text:
                read_block_weights(text).check(self._architecture)
            self.dismiss(text)
        except ModelhubError as error:
            self.query_one("#blocks-say", Static).update(f"{error.message} {error.hint}")


def lora_presets(architecture: str | None) -> list[str]:
    """The presets that fit an architecture, those that are made for LoRAs first."""
    made = {preset.name for preset in read_presets(data_path("presets", "lora.toml"))}
    fits = [name for name, preset in presets().items() if architecture and preset.values(architecture)]
    return sorted(fits, key=lambda name: name not in made)


class WordsDialog(ModalScreen[list[str] | None]):
    """Which trigger words go into the prompt; gives those that are ticked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="words.cancel"),
    ]

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        """All of them."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Trigger words"
            yield Static("What the LoRAs of the stack were trained with.", markup=False, classes="help")
            yield TickList(*(Selection(Content(word), at) for at, word in enumerate(self._words)), compact=True)
            yield Static("space ticks · enter puts them into the prompt · escape leaves", markup=False, classes="keys")

    def action_take(self) -> None:
        """Those that are ticked; without any, the one under the cursor."""
        choices: TickList[int] = self.query_one(TickList)
        ticked = sorted(choices.selected) or [choices.highlighted or 0]
        self.dismiss([self._words[at] for at in ticked])
