"""Pictures by half-blocks: `▀` with the upper pixel as its colour and the lower one as its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Pixels = NDArray[np.uint8]


def fit(height: int, width: int, columns: int, rows: int) -> tuple[int, int]:
    """Height and width in pixels of a picture that keeps its shape in `columns` × `rows` cells of 1 × 2 pixels each.

    The height is even, so that no cell is half empty.
    """
    scale = min(columns / width, 2 * rows / height)
    return max(2, 2 * round(height * scale / 2)), max(1, round(width * scale))


def fit_cells(pixels: Pixels, columns: int, rows: int, cell: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows of a picture that keeps its shape, as near as cells of `cell` pixels allow."""
    height, width, _ = pixels.shape
    scale = min(columns * cell[0] / width, rows * cell[1] / height)
    wide, tall = round(width * scale / cell[0]), round(height * scale / cell[1])
    return min(columns, max(1, wide)), min(rows, max(1, tall))


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
