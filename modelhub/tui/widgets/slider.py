"""A number between two ends: arrow keys, the mouse, or typed digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.tui.widgets.ink import ink

_DIGITS = frozenset("0123456789.-")


class Slider(Widget, can_focus=True):
    """`label ━━━━●──── 0.30`. `value` stays within `low` and `high`; the track covers that range."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "nudge(-1)", "Less", show=False, id="slider.less"),
        Binding("right,l", "nudge(1)", "More", show=False, id="slider.more"),
        Binding("shift+left,H", "nudge(-0.2)", "A little less", show=False, id="slider.little_less"),
        Binding("shift+right,L", "nudge(0.2)", "A little more", show=False, id="slider.little_more"),
        Binding("home", "end(-1)", "Lowest", show=False, id="slider.lowest"),
        Binding("end", "end(1)", "Highest", show=False, id="slider.highest"),
        Binding("enter", "take", "Take the typed number", show=False, id="slider.take"),
        Binding("backspace", "rub", "Rub out", show=False, id="slider.rub"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "slider--label",
        "slider--done",
        "slider--rest",
        "slider--knob",
        "slider--typing",
    }

    value: reactive[float] = reactive(0.0)
    typed: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """The value is another."""

        slider: Slider
        value: float

    def __init__(self, name: str, value: float, low: float, high: float, tooltip: str = "") -> None:
        super().__init__(name=name)
        self.label, self.low, self.high = name, low, high
        self.set_reactive(Slider.value, value)
        self.tooltip = tooltip or None

    def validate_value(self, value: float) -> float:
        """Within the ends, without the dust of binary fractions."""
        return round(max(self.low, min(self.high, value)), 6)

    def watch_value(self, value: float) -> None:
        """Tell who listens."""
        self.post_message(self.Changed(self, value))

    def render(self) -> Text:
        """Label, track, knob and number."""
        number = f"{self.typed}▏" if self.typed else f"{self.value:.2f}".rstrip("0").ljust(4, "0")
        span = self._span()
        knob = round((self.value - self.low) / (self.high - self.low) * (span - 1)) if self.high > self.low else 0
        return Text.assemble(
            (f"{self.label:<7}"[:12], ink(self, "slider--label")), " ",
            ("━" * knob, ink(self, "slider--done")),
            ("●", ink(self, "slider--knob")),
            ("─" * (span - knob - 1), ink(self, "slider--rest")),
            (f" {number:<6}", ink(self, "slider--typing" if self.typed else "slider--knob")),
            no_wrap=True, end="",
        )  # fmt: skip

    def _left(self) -> int:
        return len(f"{self.label:<7}"[:12]) + 1

    def _span(self) -> int:
        """Cells of the track."""
        return max(4, self.size.width - self._left() - 7)

    def action_nudge(self, steps: float) -> None:
        """A twentieth of the range, times `steps`."""
        self.typed = ""
        self.value += steps * (self.high - self.low) / 20

    def action_end(self, side: int) -> None:
        """To the lowest or the highest."""
        self.typed = ""
        self.value = self.low if side < 0 else self.high

    def action_take(self) -> None:
        """The typed number becomes the value; one that is none is forgotten."""
        typed, self.typed = self.typed, ""
        try:
            self.value = float(typed) if typed else self.value
        except ValueError:
            self.app.bell()

    def action_rub(self) -> None:
        """Rub out the last typed digit."""
        self.typed = self.typed[:-1]

    def on_key(self, event: events.Key) -> None:
        """Digits are typed."""
        if event.character in _DIGITS:
            event.stop()
            event.prevent_default()
            self.typed = (self.typed + (event.character or ""))[:6]

    def on_blur(self) -> None:
        """Leaving takes what was typed."""
        self.action_take()

    def on_click(self, event: events.Click) -> None:
        """A click on the track puts the knob there."""
        place = (event.x - self._left()) / max(1, self._span() - 1)
        if -0.05 <= place <= 1.05:
            self.value = round(self.low + place * (self.high - self.low), 2)
