"""Pictures in the terminal: `▀` with the upper pixel as its colour and the lower one as its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

Pixels = NDArray[np.uint8]


def fit(height: int, width: int, columns: int, rows: int) -> tuple[int, int]:
    """Height and width in pixels of a picture that keeps its shape in `columns` × `rows` cells of 1 × 2 pixels each.

    The height is even, so that no cell is half empty.
    """
    scale = min(columns / width, 2 * rows / height)
    return max(2, 2 * round(height * scale / 2)), max(1, round(width * scale))


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """uint8 [H,W,3] to [height,width,3]: the mean of pixels when it shrinks, the nearest when it grows."""
    return _resize_rows(_resize_rows(pixels, height).swapaxes(0, 1), width).swapaxes(0, 1)


def _resize_rows(pixels: Pixels, height: int) -> Pixels:
    old = pixels.shape[0]
    if height >= old:
        nearest: Pixels = pixels[np.arange(height) * old // height]
        return nearest
    edges = np.arange(height + 1) * old // height
    sums = np.add.reduceat(pixels.astype(np.float32), edges[:-1], axis=0)
    mean: Pixels = np.rint(sums / np.diff(edges)[:, None, None]).astype(np.uint8)
    return mean


def half_blocks(pixels: Pixels) -> list[Strip]:
    """uint8 [2n,W,3] as n lines of W cells."""
    upper, lower = pixels[0::2].tolist(), pixels[1::2].tolist()
    return [Strip(_cells(top, bottom), len(top)) for top, bottom in zip(upper, lower, strict=True)]


def _cells(top: list[list[int]], bottom: list[list[int]]) -> list[Segment]:
    colours = zip(top, bottom, strict=True)
    return [Segment("▀", Style(color=Color.from_rgb(*a), bgcolor=Color.from_rgb(*b))) for a, b in colours]


class Picture(Widget):
    """A picture of uint8 [H,W,3] in the middle of the widget, as large as it can be; None shows nothing."""

    ALLOW_SELECT = False
    pixels: reactive[Pixels | None] = reactive(None, always_update=True)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Strip] = []
        self._drawn: tuple[int, int, int] | None = None

    def watch_pixels(self) -> None:
        """Draw anew."""
        self._drawn = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line `y`: the picture's cells between blanks."""
        columns, rows = self.size
        lines = self._scaled(columns, rows)
        top = (rows - len(lines)) // 2
        if not top <= y < top + len(lines):
            return Strip.blank(columns, self.rich_style)
        line = lines[y - top]
        left = (columns - line.cell_length) // 2
        right = columns - left - line.cell_length
        return Strip.join([Strip.blank(left, self.rich_style), line, Strip.blank(right, self.rich_style)])

    def _scaled(self, columns: int, rows: int) -> list[Strip]:
        """The lines for a size, computed once for each picture and size."""
        key = (columns, rows, id(self.pixels))
        if key != self._drawn:
            self._drawn = key
            self._lines = []
            if self.pixels is not None and self.pixels.size and columns and rows:
                height, width = fit(self.pixels.shape[0], self.pixels.shape[1], columns, rows)
                self._lines = half_blocks(resize(self.pixels, height, width))
        return self._lines
