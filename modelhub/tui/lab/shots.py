"""Shots: the pictures that one model gave for one request, side by side for the screen, each by itself for a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from modelhub.preview.pictures.picture import Picture
    from modelhub.tui.pictures.picture import Pixels


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture for each seed."""

    pictures: tuple[Picture, ...]

    @property
    def pixels(self) -> Pixels:
        """All of them in a square."""
        return tiled([picture.pixels for picture in self.pictures])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong with any of them, once each."""
        return tuple(dict.fromkeys(warning for picture in self.pictures for warning in picture.warnings))


def tiled(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures [H, W, 3] of one size in rows as long as there are rows; what is left over stays dark."""
    if len(pictures) == 1:
        return pictures[0]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures[0].shape[:2]
    sheet = np.zeros((rows * height, columns * width, 3), dtype=np.uint8)
    for at, pixels in enumerate(pictures):
        top, left = at // columns * height, at % columns * width
        sheet[top : top + height, left : left + width] = pixels
    return sheet


def thumbnail(pixels: Pixels, side: int) -> Pixels:
    """A picture no larger than `side`; one that is small enough as it is."""
    from modelhub.tui.pictures.picture import resize

    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1.0:
        return pixels
    return resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
