"""The six shapes that the demo models know, drawn from signed distances: coverage of each pixel, anti-aliased.

Distances are negative inside, in pixels. The star and the triangle use the mirror symmetries of the shape, a way of
writing distance functions that Inigo Quilez made popular (iquilezles.org, "2D distance functions").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Pictures are square, this many pixels wide.
SIZE = 64

#: Radius in pixels of each size word; no word means medium.
RADIUS: Mapping[str, float] = {"": 19.0, "small": 12.0, "large": 26.0}

Floats = NDArray[np.float64]


def _circle(x: Floats, y: Floats, r: Floats) -> Floats:
    return np.hypot(x, y) - r


def _square(x: Floats, y: Floats, r: Floats) -> Floats:
    return np.maximum(abs(x), abs(y)) - 0.86 * r


def _triangle(x: Floats, y: Floats, r: Floats) -> Floats:
    """Equilateral, one tip up: the largest of the distances to its sides, each half a circumradius from the centre."""
    x, y, r = abs(x), y - 0.18 * r, 1.15 * r
    return np.maximum(y, x * math.cos(math.pi / 6) - y * 0.5) - 0.5 * r


def _star(x: Floats, y: Floats, r: Floats) -> Floats:
    """Five tips, one up: fold the plane into a tenth of it, then take the one edge that is left there."""
    y, r = 0.06 * r - y, 1.2 * r
    x = abs(x)
    for side in (1.0, -1.0):
        nx, ny = side * math.cos(math.pi / 5), -math.sin(math.pi / 5)
        away = np.maximum(nx * x + ny * y, 0.0)
        x, y = x - 2 * away * nx, y - 2 * away * ny
    x = abs(x)
    # from the tip (0, r) to the notch, which lies 36 degrees further; 0.45 is the depth of the notch
    ex, ey = 0.45 * math.sin(math.pi / 5), 0.45 * math.cos(math.pi / 5) - 1.0
    return (x * -ey + (y - r) * ex) / math.hypot(ex, ey)


def _ring(x: Floats, y: Floats, r: Floats) -> Floats:
    return abs(np.hypot(x, y) - 0.76 * r) - 0.26 * r


def _cross(x: Floats, y: Floats, r: Floats) -> Floats:
    long, short = np.maximum(abs(x), abs(y)) - r, np.minimum(abs(x), abs(y)) - 0.33 * r
    return np.maximum(long, short)


_DISTANCES: Mapping[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "circle": _circle, "square": _square, "triangle": _triangle, "star": _star, "ring": _ring, "cross": _cross,
}  # fmt: skip

#: The shapes' names.
SHAPES = tuple(_DISTANCES)


def coverage(shape: str, cx: ArrayLike, cy: ArrayLike, radius: ArrayLike) -> NDArray[np.float32]:
    """How much of each pixel a shape covers, 0 to 1: centres and radii [N] in pixels -> float32 [N, SIZE, SIZE]."""
    along = np.arange(SIZE) + 0.5
    x = along[None, None, :] - np.asarray(cx, np.float64)[:, None, None]
    y = along[None, :, None] - np.asarray(cy, np.float64)[:, None, None]
    r = np.asarray(radius, np.float64)[:, None, None]
    covered: NDArray[np.float32] = np.clip(0.5 - _DISTANCES[shape](x, y, r), 0, 1).astype(np.float32)
    return covered
