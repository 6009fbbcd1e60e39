"""How striped, how pastel, how framed pictures are: the measures by which a merge of styles shows in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelhub.demo.palette import PASTEL_KEEP
from modelhub.demo.pictures import PLAIN_ROWS, Floats, Pixels, border, checked

_EDGE = 5


def stripe_score(pixels: Pixels) -> float:
    """How much the brightness of left and right edge changes from band to band, 0 to 255; about 1 without stripes."""
    image = checked(pixels)
    rows = np.concatenate((image[:, :_EDGE], image[:, -_EDGE:]), axis=1).mean(axis=(1, 2))
    return float(abs(rows[PLAIN_ROWS].mean() - rows[~PLAIN_ROWS].mean()))


def saturation(pixels: Pixels) -> float:
    """The mean difference of the largest and the smallest channel, 0 (grey) to 255."""
    return _spread(checked(pixels))


def border_white(pixels: Pixels) -> float:
    """How white the border is, 0 to 255: the mean of its smallest channel; about 235 within a white frame."""
    return float(checked(pixels)[border(_EDGE)].min(axis=-1).mean())


def pastel_strength(pictures: Sequence[Pixels], plain: Sequence[Pixels]) -> float:
    """How far `pictures` are towards pastel, 0 to 1, beside those that the plain model makes of the same prompts.

    Pastel multiplies every difference of channels by `PASTEL_KEEP`, so the ratio of the mean saturations says how much
    of it is there: (1 - ratio) / (1 - PASTEL_KEEP). Rows that stripes cover are left out.
    """
    before, after = (
        float(np.mean([_spread(checked(picture)[PLAIN_ROWS]) for picture in series])) for series in (plain, pictures)
    )
    return min(max((1 - after / max(before, 1e-6)) / (1 - PASTEL_KEEP), 0.0), 1.0)


def _spread(image: Floats) -> float:
    return float((image.max(axis=-1) - image.min(axis=-1)).mean())
