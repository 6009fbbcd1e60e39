"""Dialogs of keys: press the new key; what to do where it is taken; choose a preset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from modelhub.tui.keys.binding_table import Bound
from modelhub.tui.keys.key_names import key_name
from modelhub.tui.keys.key_presets import PRESET_HELP, PRESETS


class KeyDialog(ModalScreen[str | None]):
    """Waits for one key, whichever it is; gives its name, or None for escape."""

    def __init__(self, bound: Bound, *, more: bool) -> None:
        super().__init__()
        self._bound, self._more = bound, more

    def compose(self) -> ComposeResult:
        """What is asked for."""
        with Vertical(classes="dialog") as box:
            box.border_title = "One more key" if self._more else "Another key"
            yield Static(f"Press the key for {self._bound.label} ({self._bound.title}).", markup=False, classes="help")
            yield Static("escape leaves it as it is", markup=False, classes="keys")

    def on_key(self, event: events.Key) -> None:
        """This is the key."""
        event.stop()
        event.prevent_default()
        self.dismiss(None if event.key == "escape" else event.key)


class ClashDialog(ModalScreen[str | None]):
    """A key that others have: take it from them, let all have it, or leave it; gives take, both or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave it", show=False, id="clash.leave"),
    ]

    def __init__(self, bound: Bound, key: str, others: Sequence[Bound]) -> None:
        super().__init__()
        self._bound, self._key, self._others = bound, key, others

    def compose(self) -> ComposeResult:
        """Who has it, and what can be done."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = f"{key_name(self._key)} is taken"
            for one in self._others:
                yield Static(f"· {one.label} ({one.title})", markup=False)
            says = (
                f"It can be taken from there for {self._bound.label}, or both keep it: then the innermost one has it."
            )
            yield Static(says, markup=False, id="hint")
            with Horizontal(classes="buttons"):
                yield Button("Take it", variant="primary", compact=True, id="take")
                yield Button("Both", compact=True, id="both")
                yield Button("Leave it", compact=True, id="leave")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id if event.button.id != "leave" else None)


class PresetDialog(ModalScreen[str | None]):
    """Choose a preset; gives its name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, id="preset.cancel"),
    ]

    def compose(self) -> ComposeResult:
        """The presets, each with what is said of it."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Keys as elsewhere"
            options = (Option(Content(f"{name:<9}{PRESET_HELP[name]}"), id=name) for name in PRESETS)
            yield OptionList(*options, compact=True)
            yield Static(
                "It takes the place of all keys that were changed · escape leaves", markup=False, classes="keys"
            )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
