"""The line of keys at the foot: one widget that is one line, for a widget for each key costs a tenth of the start."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.style import Style
from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.widget import Widget

from modelhub.tui.widgets.ink import ink

#: Keys at the end of the line that stay when there is no room for all: help, and the way out.
_LASTING = 2


class Shown(NamedTuple):
    """A key of the line: its name, how it is written, what it does, and whether it does that now."""

    key: str
    display: str
    does: str
    enabled: bool

    @property
    def width(self) -> int:
        """Columns, with the space before and behind."""
        return Text(self.display).cell_len + Text(self.does).cell_len + 3


class KeyBar(Widget):
    """The keys of the screen and of what has the focus, as far as they are meant to be shown; a click presses them."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--does"}

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if screen.app.app_focus and screen is self.screen:
            self.refresh()

    def fitting(self) -> list[Shown]:
        """The keys that there is room for, from left to right."""
        found: dict[str, Shown] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show:
                display = self.app.get_key_display(binding)
                found.setdefault(binding.action, Shown(binding.key, display, binding.description, enabled))
        return _fitting(list(found.values()), self.size.width)

    def render(self) -> Text:
        """One line."""
        text = Text(no_wrap=True, end="")
        key, does = ink(self, "keys--key"), ink(self, "keys--does")
        for one in self.fitting():
            dim = Style(dim=not one.enabled)
            text.append(f" {one.display} ", key + dim).append(f"{one.does} ", does + dim)
        return text

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        at = 0
        for one in self.fitting():
            at += one.width
            if event.x < at:
                self.app.simulate_key(one.key) if one.enabled else self.app.bell()
                return


def _fitting(keys: list[Shown], width: int) -> list[Shown]:
    """As many as fit, the last ones always."""
    while len(keys) > _LASTING and sum(one.width for one in keys) > width:
        del keys[-_LASTING - 1]
    return keys
