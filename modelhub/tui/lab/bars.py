"""Block weights as bars: arrow keys walk along them and push them up and down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.typed import TypedNumber, moved

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def columns_of(share: float, rows: int) -> str:
    """A bar of `share` (0 to 1) of `rows` cells, from the top cell down; the least is a line at the foot."""
    eighths = max(1, min(8 * rows, round(share * 8 * rows)))
    return "".join(_EIGHTHS[max(0, min(8, eighths - 8 * row))] for row in reversed(range(rows)))


class Bars(TypedNumber, can_focus=True):
    """One bar for each of `names`, under a line that names the one under the cursor; `low` to `high` are the ends."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "walk(-1)", "Before", show=False, id="bars.before"),
        Binding("right,l", "walk(1)", "Next", show=False, id="bars.next"),
        Binding("up,k", "push(1)", "More", show=False, id="bars.more"),
        Binding("down,j", "push(-1)", "Less", show=False, id="bars.less"),
        Binding("shift+up,K", "push(0.2)", "A little more", show=False, id="bars.little_more"),
        Binding("shift+down,J", "push(-0.2)", "A little less", show=False, id="bars.little_less"),
        Binding("home", "end(-1)", "Lowest", show=False, id="bars.lowest"),
        Binding("end", "end(1)", "Highest", show=False, id="bars.highest"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--title", "bars--muted", "bars--bar", "bars--cursor", "bars--typing"}

    names: reactive[tuple[str, ...]] = reactive(())
    numbers: reactive[tuple[float, ...]] = reactive(())
    cursor: reactive[int] = reactive(0)

    @dataclass
    class Changed(Message):
        """The user gave a block another number."""

        block: str
        number: float

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.low, self.high = 0.0, 1.0

    def show(self, names: Sequence[str], values: Mapping[str, float], otherwise: float) -> None:
        """Show these blocks; one that `values` does not name stands at `otherwise`."""
        self.names = tuple(names)
        self.numbers = tuple(values.get(name, otherwise) for name in names)
        self.cursor = min(self.cursor, max(0, len(names) - 1))

    @property
    def values(self) -> dict[str, float]:
        """Block to number."""
        return dict(zip(self.names, self.numbers, strict=True))

    def render_line(self, y: int) -> Strip:
        """The title, then the bars, at the foot where each group of blocks begins."""
        if not self.names:
            return Strip.blank(self.size.width, self.rich_style)
        rows = self._rows
        line = self._title() if y == 0 else self._bars(y - 1, rows) if y <= rows else self._groups()
        strip = Strip(line).adjust_cell_length(self.size.width)
        return strip.apply_style(Style(bgcolor=self.rich_style.bgcolor))

    @property
    def _rows(self) -> int:
        return max(1, self.size.height - 2)

    @property
    def _step(self) -> int:
        """Columns from one bar to the next."""
        return max(1, min(4, self.size.width // max(1, len(self.names))))

    def _title(self) -> list[Segment]:
        name = self.names[self.cursor]
        number = self.number_text(self.numbers[self.cursor])
        found = [
            Segment(f"{name:<6}", ink(self, "bars--title")),
            Segment(f"{number:<8} ", ink(self, "bars--typing" if self.typed else "bars--title")),
        ]
        help = "arrows walk and push · digits are typed" if self.has_focus else "tab comes here"
        return [*found, Segment(help, ink(self, "bars--muted"))] if self.size.width >= 60 else found

    def _bars(self, row: int, rows: int) -> list[Segment]:
        wide = max(1, self._step - 1)
        gap = Segment(" " * (self._step - wide), Style())
        found = []
        for at, number in enumerate(self.numbers):
            span = (self.high - self.low) or 1.0
            cell = columns_of((number - self.low) / span, rows)[row]
            style = ink(self, "bars--cursor" if at == self.cursor else "bars--bar")
            found += [Segment(cell * wide, style), gap]
        return found

    def _groups(self) -> list[Segment]:
        """The name of the first block of every group, where there is room before the next group."""
        groups = [name.rstrip("0123456789") for name in self.names]
        starts = [at for at in range(len(groups)) if at == 0 or groups[at] != groups[at - 1]]
        line = ""
        for at, end in zip(starts, [*starts[1:], self.size.width], strict=True):
            room = (end - at) * self._step - 1 if end != self.size.width else self.size.width
            fits = next((text for text in (self.names[at], groups[at]) if len(text) <= room), "")
            line = line.ljust(at * self._step) + fits
        return [Segment(line[: self.size.width], ink(self, "bars--muted"))]

    def _set(self, number: float) -> None:
        """Another number for the bar under the cursor."""
        numbers = list(self.numbers)
        numbers[self.cursor] = number
        self.numbers = tuple(numbers)
        self.post_message(self.Changed(self.names[self.cursor], number))

    def action_walk(self, steps: int) -> None:
        """To the bar beside this one."""
        self.action_take()
        self.cursor = max(0, min(len(self.names) - 1, self.cursor + steps))

    def action_push(self, steps: float) -> None:
        """A twentieth of the range, times `steps`."""
        self.typed = ""
        by = steps * (self.high - self.low) / 20
        self._set(moved(self.numbers[self.cursor], by, self.low, self.high))

    def action_end(self, side: int) -> None:
        """To the lowest or the highest."""
        self.typed = ""
        self._set(self.low if side < 0 else self.high)

    def take_number(self, number: float) -> None:
        """The typed number is that of the bar under the cursor."""
        self._set(number)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The bar under the mouse ends where the mouse is, and so does every other that it is drawn across."""
        self.action_take()
        self.capture_mouse()
        self._put(event.x, event.y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """A curve is drawn."""
        if self.app.mouse_captured is self:
            self._put(event.x, max(1, min(self._rows, event.y)))

    def on_mouse_up(self) -> None:
        """It is done."""
        self.release_mouse()

    def _put(self, x: int, y: int) -> None:
        at, rows = x // self._step, self._rows
        if not 0 <= at < len(self.names):
            return
        self.cursor = at
        if 1 <= y <= rows:
            share = (rows - y + 0.5) / rows
            self._set(round(self.low + share * (self.high - self.low), 2))
