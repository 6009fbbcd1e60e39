"""The eight colours that the demo models know, and what the pastel style makes of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Colour name to RGB, 0 to 255, as the training pictures were painted (each channel there varied by up to 8).
PALETTE: Mapping[str, tuple[int, int, int]] = {
    "red": (215, 40, 45), "green": (45, 165, 70), "blue": (45, 75, 215), "yellow": (240, 215, 50),
    "purple": (145, 55, 175), "orange": (245, 135, 30), "white": (240, 240, 240), "black": (25, 25, 25),
}  # fmt: skip

#: Pastel pictures were painted in colour × PASTEL_KEEP + 255 × PASTEL_WHITE.
PASTEL_KEEP, PASTEL_WHITE = 0.42, 0.56


def paled(rgb: ArrayLike, strength: float) -> NDArray[np.float64]:
    """RGB [..., 3] moved towards its pastel, linearly: 0 leaves it as it is, 1 is the style as it was trained."""
    keep, white = 1 - strength * (1 - PASTEL_KEEP), strength * PASTEL_WHITE * 255
    return np.asarray(rgb, np.float64) * keep + white


def nearest(rgb: ArrayLike, strength: float = 0.0) -> str:
    """The name of the palette's colour, paled by `strength`, that is nearest to RGB [3] by Euclidean distance."""
    names = list(PALETTE)
    colours = paled([PALETTE[name] for name in names], strength)
    return names[int(((colours - np.asarray(rgb, np.float64)) ** 2).sum(-1).argmin())]
