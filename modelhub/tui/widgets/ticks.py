"""Things that are ticked: a tick is seen by its shape too, where Textual draws the same sign in two colours."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import Checkbox, SelectionList

TICK, NO_TICK = "✓", " "
V = TypeVar("V")


class TickBox(Checkbox):
    """A checkbox with an empty box where it is off."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802 (Textual's)
        """What stands in the box."""
        return TICK if self.value else NO_TICK


class TickList(SelectionList[V]):
    """Lines to tick; enter is the dialog's, which takes them by `action_take`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.take", "Take", show=False, id="ticks.take"),
    ]

    def render_line(self, y: int) -> Strip:
        """The line, with its own sign in the box."""
        strip = super().render_line(y)
        at, segments = self.scroll_offset.y + y, list(strip)
        if at < self.option_count:
            sign = TICK if self.get_option_at_index(at).value in self.selected else NO_TICK
            segments[1] = Segment(sign, segments[1].style)
        return Strip(segments, strip.cell_length)
