"""Contact sheets: pictures in rows and columns with labels, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from modelhub.errors import UsageError
from modelhub.text import one_line, shorten

Pixels = npt.NDArray[np.uint8]

_DARK, _LIGHT = (24, 24, 28), (222, 222, 226)
_GAP = 8
#: Characters of a label that are shown at most; longer ones are cut in the middle.
_LABEL_COLUMNS = 40
_MAX_PIXELS = 200_000_000


def contact_sheet(
    rows: Sequence[Sequence[Pixels]], row_labels: Sequence[str], column_labels: Sequence[str], *, scale: int = 1
) -> Pixels:
    """Pictures [H, W, 3] in rows, labels on the left and on top, as one picture [H', W', 3] on a dark background.

    Every cell is as large as the largest picture times `scale` (whole pixels, not smoothed); smaller ones are centred,
    rows may end early, and "" or no label at all takes no room. Raises UsageError for no pictures or too many pixels.
    """
    if not any(len(row) for row in rows):
        raise UsageError("A contact sheet needs at least one picture.", "Give at least one value for each axis.")
    sheet = _Sheet(rows, row_labels, column_labels, scale)
    return sheet.draw()


class _Sheet:
    """The measures of one contact sheet: a label column, a label line, and equal cells with gaps between them."""

    def __init__(
        self, rows: Sequence[Sequence[Pixels]], row_labels: Sequence[str], column_labels: Sequence[str], scale: int
    ) -> None:
        pictures = [picture for row in rows for picture in row]
        self.rows, self.scale = rows, scale
        self.cell_height = max(len(picture) for picture in pictures) * scale
        self.cell_width = max(picture.shape[1] for picture in pictures) * scale
        self.font = ImageFont.load_default(max(10, min(24, self.cell_height // 8)))
        self.columns = max(len(row) for row in rows)
        self.row_labels = [_cut(label) for label in row_labels[: len(rows)]]
        self.column_labels = [self._fit(_cut(label), self.cell_width) for label in column_labels[: self.columns]]
        self.left = max([0, *(self._extent(label)[0] for label in self.row_labels)])
        self.top = max([0, *(self._extent(label)[1] for label in self.column_labels)])
        self.left += _GAP if self.left else 0
        self.top += _GAP if self.top else 0

    def draw(self) -> Pixels:
        """The finished sheet."""
        width, height = self._corner(len(self.rows), self.columns)
        if width * height > _MAX_PIXELS:
            raise UsageError(
                f"A contact sheet of {width} by {height} pixels is too large.", "Take fewer or smaller pictures."
            )
        image = Image.new("RGB", (width, height), _DARK)
        for row, pictures in enumerate(self.rows):
            for column, picture in enumerate(pictures):
                self._paste(image, picture, row, column)
        self._label(ImageDraw.Draw(image))
        return np.array(image)

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        """x and y of the upper left corner of a cell."""
        x = _GAP + self.left + column * (self.cell_width + _GAP)
        return x, _GAP + self.top + row * (self.cell_height + _GAP)

    def _paste(self, image: Image.Image, picture: Pixels, row: int, column: int) -> None:
        enlarged = Image.fromarray(picture.repeat(self.scale, axis=0).repeat(self.scale, axis=1))
        x, y = self._corner(row, column)
        image.paste(
            enlarged, (x + (self.cell_width - enlarged.width) // 2, y + (self.cell_height - enlarged.height) // 2)
        )

    def _label(self, pen: ImageDraw.ImageDraw) -> None:
        for row, text in enumerate(self.row_labels):
            x, y = self._corner(row, 0)
            pen.text((x - _GAP, y + self.cell_height // 2), text, _LIGHT, self.font, anchor="rm")
        for column, text in enumerate(self.column_labels):
            x, y = self._corner(0, column)
            pen.text((x + self.cell_width // 2, y - _GAP), text, _LIGHT, self.font, anchor="md")

    def _extent(self, text: str) -> tuple[int, int]:
        """Width and height of a label in pixels; "" takes none."""
        if not text:
            return 0, 0
        _, top, _, bottom = self.font.getbbox("Ág", anchor="ls")
        return round(self.font.getlength(text)), round(bottom - top)

    def _fit(self, text: str, width: int) -> str:
        """`text` shortened until it is at most `width` pixels wide; one character always stays."""
        columns = len(text)
        while columns > 1 and self.font.getlength(text) > width:
            columns -= 1
            text = shorten(text, columns)
        return text


def _cut(label: str) -> str:
    return shorten(one_line(label), _LABEL_COLUMNS)
