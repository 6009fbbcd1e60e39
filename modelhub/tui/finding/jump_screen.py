"""Jump mode: a letter on everything that can be reached; typing it goes there."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from modelhub.tui.finding.jump import Goal, goals


class JumpScreen(ModalScreen[None]):
    """Letters over the screen `below`. Escape leaves, and so does any key that is on no letter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+g", "dismiss(None)", "Leave", show=False, priority=True, id="jump.leave"),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._goals: list[Goal] = goals(below)
        self._below, self._typed = below.size, ""

    def compose(self) -> ComposeResult:
        """The letters, and how to leave."""
        for goal in self._goals:
            letter = Static(f" {goal.keys.upper()} ", markup=False, classes="jump", name=goal.keys)
            letter.styles.offset = goal.at
            yield letter
        yield Static("Type a letter to go there · escape leaves", markup=False, classes="jump-help")

    def on_key(self, event: events.Key) -> None:
        """One letter, or two where there are many."""
        event.stop()
        event.prevent_default()
        self._typed += (event.character or "").lower() if event.is_printable else "?"
        left = [goal for goal in self._goals if goal.keys.startswith(self._typed)]
        if not left:
            self.app.bell()
            self.dismiss(None)
        elif left[0].keys == self._typed:
            self._go(left[0])
        for letter in self.query(".jump"):
            letter.display = (letter.name or "").startswith(self._typed)

    def on_click(self, event: events.Click) -> None:
        """A click on a letter goes there, any other leaves."""
        name = self.get_widget_at(event.screen_x, event.screen_y)[0].name
        found = next((goal for goal in self._goals if goal.keys == name), None)
        if found is None:
            self.dismiss(None)
        else:
            self._go(found)

    def _go(self, goal: Goal) -> None:
        self.dismiss(None)
        self.app.call_later(goal.go)

    def on_resize(self, event: events.Resize) -> None:
        """Letters of another size of the terminal would stand on the wrong things."""
        if event.size != self._below and self.is_current:
            self.dismiss(None)
