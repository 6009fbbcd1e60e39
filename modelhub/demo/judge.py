"""Does a picture show what its prompt asked for? Measured from its pixels alone, and able to say no.

The background's colour is that at the border. What differs from the border of its own row is the shape, so that a
striped background is none. Its outline is compared with all six shapes at many sizes and places; the best one names it,
if their overlap (intersection over union) is large enough. Colours are the nearest of the palette, paled for the pastel
style. The judge looks for centred shapes; it is not made for pictures with a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from modelhub.demo.palette import nearest
from modelhub.demo.pictures import PLAIN_ROWS, Floats, Pixels, border, checked
from modelhub.demo.prompts import Wanted
from modelhub.demo.shapes import SHAPES, SIZE, coverage

_BORDER = 4
#: An overlap below this is no shape at all.
LEAST_IOU = 0.6
#: Contrast to the background below this (Euclidean, of 442) is no shape either, less where colours are paled.
_LEAST_CONTRAST = 25.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found beside what was wanted; None where nothing clear was found.

    `iou` is the overlap of the outline with the best fitting template of the wanted shape, 0 to 1.
    """

    wanted: Wanted
    background: str
    colour: str | None
    shape: str | None
    iou: float

    @property
    def right(self) -> tuple[bool, bool, bool]:
        """Whether background, colour and shape are what was asked for."""
        wanted = self.wanted
        return self.background == wanted.background, self.colour == wanted.colour, self.shape == wanted.shape

    @property
    def ok(self) -> bool:
        """Whether all three are."""
        return all(self.right)

    @property
    def sentence(self) -> str:
        """All of it for a person: `a red circle on blue: background blue ✓, colour red ✓, shape ring ✗ (0.41)`."""
        found = (self.background, self.colour, self.shape)
        parts = zip(("background", "colour", "shape"), found, self.right, strict=True)
        said = ", ".join(f"{what} {name or 'unclear'} {'✓' if right else '✗'}" for what, name, right in parts)
        return f"{self.wanted}: {said} ({self.iou:.2f})"


def judge(pixels: Pixels, wanted: Wanted, *, pastel: float = 0.0) -> Verdict:
    """Compare one picture [64, 64, 3] uint8 with what was asked for.

    `pastel` is how far the style is towards pastel, 0 to 1: the strength of a merge, or what `style.pastel_strength`
    measures. Stripes need no such number. Raises UsageError for another shape or dtype of `pixels`.
    """
    image = checked(pixels)
    background = _background(image)
    mask, colour = _foreground(image, pastel)
    overlaps = _overlaps(mask)
    best = max(overlaps, key=lambda shape: overlaps[shape])
    found = best if overlaps[best] >= LEAST_IOU else None
    name = None if colour is None else nearest(colour, pastel)
    return Verdict(wanted, nearest(background, pastel), name, found, overlaps[wanted.shape])


def _background(image: Floats) -> Floats:
    """The median colour [3] of the border, left out where a stripe may have changed it."""
    colour: Floats = np.median(image[border(_BORDER) & PLAIN_ROWS[:, None]], axis=0)
    return colour


def _foreground(image: Floats, pastel: float) -> tuple[NDArray[np.bool_], Floats | None]:
    """The pixels [64, 64] that are not background, and their median colour [3]; None if there are none.

    Each pixel is compared with the border of its row. Half the shape's contrast decides, which before a stripe is not
    what it is between them.
    """
    sides = np.concatenate((image[:, :_BORDER], image[:, -_BORDER:]), axis=1)
    distance = np.linalg.norm(image - np.median(sides, axis=1)[:, None], axis=-1)
    least = _LEAST_CONTRAST * (1 - pastel / 2)
    plain, striped = (max(np.quantile(distance[rows], 0.98) / 2, least) for rows in (PLAIN_ROWS, ~PLAIN_ROWS))
    mask = distance > np.where(PLAIN_ROWS, plain, striped)[:, None]
    if not mask.any():
        return mask, None
    core = mask & (distance > 0.7 * np.median(distance[mask]))
    return mask, np.median(image[core], axis=0)


def _overlaps(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Shape name to the largest intersection over union of `mask` with any of its templates."""
    flat = mask.reshape(-1).astype(np.float32)
    found = {}
    for shape in SHAPES:
        templates, areas = _templates(shape)
        common = templates @ flat
        found[shape] = float((common / (areas + flat.sum() - common)).max())
    return found


@cache
def _templates(shape: str) -> tuple[Floats, Floats]:
    """Outlines [N, 4096] of 0 and 1 at ten sizes and nine places around the centre, and their areas [N]."""
    radius, dx, dy = np.meshgrid(np.arange(10.0, 29.0, 2.0), [-2.5, 0.0, 2.5], [-2.5, 0.0, 2.5])
    centre = SIZE / 2
    drawn = coverage(shape, (centre + dx).ravel(), (centre + dy).ravel(), radius.ravel())
    flat = (drawn > 0.5).reshape(radius.size, -1).astype(np.float32)
    return flat, flat.sum(axis=1)
