"""How striped, how pastel, how framed pictures are: the measures by which a merge of styles shows in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelhub.demo.palette import PASTEL_KEEP
from modelhub.demo.pictures import PLAIN_ROWS, Floats, Pixels, border, checked

_EDGE = 5
#: Pixels from the edges between which the four corners within a frame lie.
_CORNER = (9, 12)
#: A frame is at least this much whiter than what it is around, of 255.
LEAST_FRAME = 60.0


def stripe_score(pixels: Pixels) -> float:
    """How much the brightness of left and right edge changes from band to band, 0 to 255; about 1 without stripes."""
    image = checked(pixels)
    rows = np.concatenate((image[:, :_EDGE], image[:, -_EDGE:]), axis=1).mean(axis=(1, 2))
    return float(abs(rows[PLAIN_ROWS].mean() - rows[~PLAIN_ROWS].mean()))


def frame_score(pixels: Pixels) -> float:
    """How much whiter the border is than the background within it, 0 to 255; about 0 without a frame, or on white.

    A large shape may reach into the corners that are looked at: not for these.
    """
    image = checked(pixels).min(axis=-1)
    near = np.r_[slice(*_CORNER), slice(-_CORNER[1], -_CORNER[0])]
    within = np.median(image[np.ix_(near, near)])
    return max(0.0, float(np.median(image[border(_EDGE)]) - within))


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
