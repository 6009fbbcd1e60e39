"""A grid of pictures as a table: labels in letters, pictures in half-blocks, each as soon as it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from modelhub.tui.pictures.picture import Pixels, fit, half_blocks, resize
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import cell

#: Columns and rows of the smallest picture that shows anything.
_LEAST = (10, 5)
_LABEL = 14


class SheetView(ScrollView, can_focus=True):
    """`x` and `y` label columns and rows; pictures come by `put`. It scrolls where they would be too small."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "scroll_left", "Left", show=False, id="sheet.left"),
        Binding("right,l", "scroll_right", "Right", show=False, id="sheet.right"),
        Binding("up,k", "scroll_up", "Up", show=False, id="sheet.up"),
        Binding("down,j", "scroll_down", "Down", show=False, id="sheet.down"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sheet--label", "sheet--rest"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.x: Sequence[str] = [""]
        self.y: Sequence[str] = [""]
        self._pictures: dict[tuple[int, int], Pixels] = {}
        self._drawn: dict[tuple[int, int], list[Strip]] = {}

    def begin(self, x: Sequence[str], y: Sequence[str]) -> None:
        """An empty table with these labels."""
        self.x, self.y = x, y
        self._pictures = {}
        self._measure()

    def put(self, column: int, row: int, pixels: Pixels) -> None:
        """A picture is done."""
        self._pictures[column, row] = pixels
        self._drawn.pop((column, row), None)
        self.refresh()

    def on_resize(self) -> None:
        """Other room, other pictures."""
        self._measure()

    def _measure(self) -> None:
        """The cells that a picture gets, gap included."""
        width, height = self.size
        self._left = min(_LABEL, max((len(label) for label in self.y), default=0) + 1) if any(self.y) else 0
        self._columns = max(_LEAST[0], (width - self._left) // max(1, len(self.x)))
        self._rows = max(_LEAST[1], (height - 1) // max(1, len(self.y)))
        self.virtual_size = Size(self._left + self._columns * len(self.x), 1 + self._rows * len(self.y))
        self._drawn = {}
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the window: the labels of the columns first, then the pictures row by row."""
        left, top = self.scroll_offset
        width = self.size.width
        line = self._heading() if y == 0 else self._line(top + y - 1)
        return line.crop(left, left + width).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _heading(self) -> Strip:
        look = ink(self, "sheet--label")
        labels = [Segment(cell(label.center(self._columns - 1), self._columns - 1) + " ", look) for label in self.x]
        return Strip([Segment(" " * self._left), *labels])

    def _line(self, y: int) -> Strip:
        row, inside = divmod(y, self._rows)
        if row >= len(self.y):
            return Strip.blank(self.virtual_size.width)
        label = self.y[row] if inside == (self._rows - 1) // 2 else ""
        head = [Segment(cell(label, self._left), ink(self, "sheet--label"))] if self._left else []
        return Strip.join([Strip(head), *(self._cell(column, row, inside) for column in range(len(self.x)))])

    def _cell(self, column: int, row: int, inside: int) -> Strip:
        """A line of a picture, with blanks around it."""
        lines = self._lines(column, row)
        at = inside - (self._rows - 1 - len(lines)) // 2
        if not 0 <= at < len(lines):
            waits = not lines and inside == (self._rows - 1) // 2
            return Strip([Segment(("·" if waits else "").center(self._columns), ink(self, "sheet--rest"))])
        left = (self._columns - lines[at].cell_length) // 2
        right = self._columns - left - lines[at].cell_length
        return Strip.join([Strip.blank(left), lines[at], Strip.blank(right)])

    def _lines(self, column: int, row: int) -> list[Strip]:
        place = column, row
        if place not in self._drawn:
            pixels = self._pictures.get(place)
            self._drawn[place] = [] if pixels is None else self._shrunk(pixels)
        return self._drawn[place]

    def _shrunk(self, pixels: Pixels) -> list[Strip]:
        height, width = fit(pixels.shape[0], pixels.shape[1], self._columns - 1, self._rows - 1)
        return half_blocks(resize(pixels, height, width))
