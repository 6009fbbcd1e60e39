"""A number that is typed straight onto a widget, without a field to go to first."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widget import Widget

_SIGNS = frozenset("0123456789.,-e")
#: As many signs as a number can need: -1.2345678901234567e-101.
_LONGEST = 24


class TypedNumber(Widget):
    """Digits collect in `typed`; enter, leaving, or whatever else calls `action_take` makes a number of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take the typed number", show=False, id="number.take"),
        Binding("backspace", "rub", "Rub out", show=False, id="number.rub"),
    ]

    #: What is taken as part of a number; a widget with keys of its own may leave some out.
    signs: ClassVar[frozenset[str]] = _SIGNS

    typed: reactive[str] = reactive("")

    def take_number(self, number: float) -> None:
        """What to do with a number that was typed."""
        raise NotImplementedError

    def number_text(self, number: float) -> str:
        """What is being typed, or the number."""
        return f"{self.typed}▏" if self.typed else shown(number)

    def action_take(self) -> None:
        """The typed number is taken, also one beyond the ends; one that is none is forgotten."""
        typed, self.typed = self.typed, ""
        if not typed:
            return
        number = _read(typed)
        if number is None:
            self.app.bell()
        else:
            self.take_number(number)

    def action_rub(self) -> None:
        """Rub out the last typed sign."""
        self.typed = self.typed[:-1]

    def on_key(self, event: events.Key) -> None:
        """Digits are typed."""
        if event.character in self.signs:
            event.stop()
            event.prevent_default()
            self.typed = (self.typed + (event.character or ""))[:_LONGEST]

    def on_blur(self) -> None:
        """Leaving takes what was typed."""
        self.action_take()


def _read(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if isfinite(number) else None


def shown(number: float) -> str:
    """Two decimals where they are the whole number, else six digits."""
    short = f"{number:.2f}"
    return short if len(short) < 8 and float(short) == number else f"{number:.6g}"


def moved(number: float, by: float, low: float, high: float) -> float:
    """`number` and `by`, without the dust of binary fractions, and no farther beyond the ends than `number` is."""
    return max(min(low, number), min(max(high, number), round(number + by, 6)))
