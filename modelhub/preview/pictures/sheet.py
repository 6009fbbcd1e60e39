"""Contact sheets: pictures in rows and columns with labels, on one page or several, as one picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import repeat, zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from modelhub.errors import UsageError
from modelhub.preview.pictures.fonts import font_for
from modelhub.text import one_line, shorten

Pixels = npt.NDArray[np.uint8]

_DARK, _LIGHT = (24, 24, 28), (222, 222, 226)
_GAP = 8
#: Characters of a label that are shown at most; longer ones are cut in the middle.
_LABEL_COLUMNS = 60
#: Lines of a label, and what a label on the left may be wide even beside small pictures.
_LINES, _LEAST_WIDTH = 3, 120
_MAX_PIXELS = 200_000_000
#: A word, with what it may be broken after.
_WORD = re.compile(r"[^\s_\-/]+[_\-/]*\s*|[_\-/]+\s*")

Rows = Sequence[Sequence[Pixels]]


class Page(NamedTuple):
    """Rows of pictures under one title; "" takes no room."""

    title: str
    rows: Rows


def contact_sheet(
    rows: Rows, row_labels: Sequence[str], column_labels: Sequence[str], *, scale: int = 1, title: str = ""
) -> Pixels:
    """Pictures [H, W, 3] in rows, labels on the left and on top, as one picture [H', W', 3] on a dark background.

    A column is as wide, and a row as high, as its largest picture times `scale` (whole pixels, not smoothed); smaller
    ones are centred, rows may end early, and "" or no label at all takes no room. Raises UsageError for no pictures or
    too many pixels.
    """
    return contact_pages([Page(title, rows)], row_labels, column_labels, scale=scale)


def contact_pages(
    pages: Sequence[Page], row_labels: Sequence[str], column_labels: Sequence[str], *, scale: int = 1
) -> Pixels:
    """Contact sheets one under the other, all with the same labels and columns; else as `contact_sheet`."""
    return _measured(pages, row_labels, column_labels, scale).draw()


def check_pages(
    pages: Sequence[Page], row_labels: Sequence[str], column_labels: Sequence[str], *, scale: int = 1
) -> None:
    """Raise what `contact_pages` would of these; only the shapes of the pictures count."""
    _measured(pages, row_labels, column_labels, scale)


def _measured(pages: Sequence[Page], row_labels: Sequence[str], column_labels: Sequence[str], scale: int) -> _Sheet:
    if not any(len(row) for page in pages for row in page.rows):
        raise UsageError("A contact sheet needs at least one picture.", "Give at least one value for each axis.")
    sheet = _Sheet(pages, row_labels, column_labels, scale)
    if sheet.width * sheet.height > _MAX_PIXELS:
        raise UsageError(
            f"A contact sheet of {sheet.width} by {sheet.height} pixels is too large.",
            "Take fewer or smaller pictures.",
        )
    return sheet


def _letters(tallest: int) -> int:
    """Pixels that letters are high: to be read where the whole sheet is seen, but no larger than small ones need."""
    return max(10, min(tallest // 8, max(24, tallest // 24)))


class _Label(NamedTuple):
    """A label in lines, and the pixels that it takes."""

    lines: list[str]
    width: int
    height: int


class _Sheet:
    """The measures of a sheet: a label column, label lines on every page, and cells with gaps between them."""

    def __init__(
        self, pages: Sequence[Page], row_labels: Sequence[str], column_labels: Sequence[str], scale: int
    ) -> None:
        pictures = [picture for page in pages for row in page.rows for picture in row]
        self.pages, self.scale = pages, scale
        rows = [row for page in pages for row in page.rows]
        columns = zip_longest(*rows)
        self.widths = [max(one.shape[1] for one in column if one is not None) * scale for column in columns]
        same: Iterable[Sequence[Sequence[Pixels]]] = zip_longest(*(page.rows for page in pages), fillvalue=())
        self.heights = [max((len(one) for row in found for one in row), default=0) * scale for found in same]
        tallest, widest = (max(picture.shape[side] for picture in pictures) * scale for side in (0, 1))
        said = one_line("".join([*row_labels, *column_labels, *(page.title for page in pages)]))
        self.font = font_for(said, _letters(tallest))
        aside = max(widest, _LEAST_WIDTH)
        self.row_labels = [self._label(*one) for one in zip(row_labels, repeat(aside), self.heights, strict=False)]
        self.column_labels = [self._label(*one) for one in zip(column_labels, self.widths, strict=False)]
        self.left = max([0, *(label.width for label in self.row_labels)])
        self.top = max([0, *(label.height for label in self.column_labels)])
        self.left += _GAP if self.left else 0
        self.top += _GAP if self.top else 0
        width = self.width = self._x(len(self.widths))
        self.titles = [self._label(page.title, width - self.left - 2 * _GAP) for page in pages]
        self._heights = [self._height(at) for at in range(len(pages))]
        self.height = sum(self._heights) + _GAP

    def draw(self) -> Pixels:
        """The finished sheet."""
        image = Image.new("RGB", (self.width, self.height), _DARK)
        for at in range(len(self.pages)):
            self._page(image, at, sum(self._heights[:at]))
        return np.array(image)

    def _height(self, at: int) -> int:
        """What a page takes, with the gap above it; another one keeps the next page away."""
        title = self.titles[at].height
        apart = 2 * _GAP if at else 0
        return apart + (title + _GAP if title else 0) + self.top + self._y(len(self.pages[at].rows))

    def _page(self, image: Image.Image, at: int, y: int) -> None:
        pen, page, title = ImageDraw.Draw(image), self.pages[at], self.titles[at]
        y += _GAP + (2 * _GAP if at else 0)
        self._text(pen, title, _GAP + self.left, y, "la")
        y += (title.height + _GAP if title.height else 0) + self.top
        for row, pictures in enumerate(page.rows):
            for column, picture in enumerate(pictures):
                self._paste(image, picture, (self._x(column), y + self._y(row)), (row, column))
        for row, label in enumerate(self.row_labels[: len(page.rows)]):
            middle = y + self._y(row) + self.heights[row] // 2
            self._text(pen, label, _GAP + self.left - _GAP, middle - label.height // 2, "ra")
        for column, label in enumerate(self.column_labels):
            self._text(pen, label, self._x(column) + self.widths[column] // 2, y - _GAP - label.height, "ma")

    def _x(self, column: int) -> int:
        left: int = sum(self.widths[:column])
        return _GAP + self.left + left + column * _GAP

    def _y(self, row: int) -> int:
        """Below the first row's upper edge."""
        return sum(self.heights[:row]) + row * _GAP

    def _paste(self, image: Image.Image, picture: Pixels, corner: tuple[int, int], cell: tuple[int, int]) -> None:
        enlarged = Image.fromarray(picture.repeat(self.scale, axis=0).repeat(self.scale, axis=1))
        right, down = self.widths[cell[1]] - enlarged.width, self.heights[cell[0]] - enlarged.height
        image.paste(enlarged, (corner[0] + right // 2, corner[1] + down // 2))

    def _text(self, pen: ImageDraw.ImageDraw, label: _Label, x: int, y: int, anchor: str) -> None:
        """A label whose upper left, upper right or upper middle is at x, y."""
        for at, line in enumerate(label.lines):
            pen.text((x, y + at * self._line), line, _LIGHT, self.font, anchor=anchor)

    @property
    def _line(self) -> int:
        _, top, _, bottom = self.font.getbbox("Ág", anchor="ls")
        return int(float(bottom - top)) + 2

    def _label(self, text: str, width: int, height: int = 1 << 30) -> _Label:
        """A label in at most three lines that are as wide as they may be, or less where `height` has no room."""
        text = shorten(one_line(text), _LABEL_COLUMNS).strip()
        if not text:
            return _Label([], 0, 0)
        lines = self._lines(text, width, max(1, min(_LINES, height // self._line)))
        return _Label(lines, max(round(self.font.getlength(line)) for line in lines), len(lines) * self._line)

    def _lines(self, text: str, width: int, most: int) -> list[str]:
        """`text` in lines, broken at spaces and hyphens; the last one has all that is left."""
        lines = [""]
        for word in _WORD.findall(text):
            fits = self.font.getlength((lines[-1] + word).rstrip()) <= width
            if not lines[-1] or fits or len(lines) == most:
                lines[-1] += word
            else:
                lines.append(word)
        return [self._fit(line.rstrip(), width) for line in lines]

    def _fit(self, text: str, width: int) -> str:
        """`text` shortened until it is at most `width` pixels wide; one character always stays."""
        columns = len(text)
        while columns > 1 and self.font.getlength(text) > width:
            columns -= 1
            text = shorten(text, columns)
        return text
