"""A number between two ends: arrow keys, the mouse, or typed digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from modelhub.text import width
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.typed import TypedNumber, moved

#: Cells of a number, unless it is longer.
_NUMBER = 6


class Slider(TypedNumber, can_focus=True):
    """`label ━━━━●──── 0.30`. The track covers `low` to `high`; a `value` that is typed or given may lie beyond."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "nudge(-1)", "Less", show=False, id="slider.less"),
        Binding("right,l", "nudge(1)", "More", show=False, id="slider.more"),
        Binding("shift+left,H", "nudge(-0.2)", "A little less", show=False, id="slider.little_less"),
        Binding("shift+right,L", "nudge(0.2)", "A little more", show=False, id="slider.little_more"),
        Binding("home", "end(-1)", "Lowest", show=False, id="slider.lowest"),
        Binding("end", "end(1)", "Highest", show=False, id="slider.highest"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "slider--label",
        "slider--done",
        "slider--rest",
        "slider--knob",
        "slider--typing",
    }

    value: reactive[float] = reactive(0.0)

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

    def watch_value(self, value: float) -> None:
        """Tell who listens."""
        self.post_message(self.Changed(self, value))

    def render(self) -> Text:
        """Label, track, knob and number."""
        span, share = self._span(), (self.value - self.low) / ((self.high - self.low) or 1.0)
        knob = round((span - 1) * max(0.0, min(1.0, share)))
        return Text.assemble(
            (self.head, ink(self, "slider--label")), " ",
            ("━" * knob, ink(self, "slider--done")),
            ("●", ink(self, "slider--knob")),
            ("─" * (span - knob - 1), ink(self, "slider--rest")),
            (f" {self._number:<{_NUMBER}}", ink(self, "slider--typing" if self.typed else "slider--knob")),
            no_wrap=True, end="",
        )  # fmt: skip

    @property
    def head(self) -> str:
        """What stands before the track."""
        return f"{self.label:<7}"[:12]

    @property
    def _number(self) -> str:
        return self.number_text(self.value)

    def _left(self) -> int:
        return width(self.head) + 1

    def _span(self) -> int:
        """Cells of the track."""
        return max(4, self.size.width - self._left() - 1 - max(_NUMBER, len(self._number)))

    def action_nudge(self, steps: float) -> None:
        """A twentieth of the range, times `steps`."""
        self.typed = ""
        self.value = moved(self.value, steps * (self.high - self.low) / 20, self.low, self.high)

    def action_end(self, side: int) -> None:
        """To the lowest or the highest."""
        self.typed = ""
        self.value = self.low if side < 0 else self.high

    def take_number(self, number: float) -> None:
        """The typed number is the value."""
        self.value = number

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The knob comes to where the mouse is on the track, and follows it until the button is let go."""
        if -0.05 <= self._place(event.x) <= 1.05:
            self.capture_mouse()
            self._put(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The knob follows."""
        if self.app.mouse_captured is self:
            self._put(event.x)

    def on_mouse_up(self) -> None:
        """There it stays."""
        self.release_mouse()

    def _place(self, x: int) -> float:
        return (x - self._left()) / max(1, self._span() - 1)

    def _put(self, x: int) -> None:
        self.typed = ""
        place = max(0.0, min(1.0, self._place(x)))
        self.value = round(self.low + place * (self.high - self.low), 2)
