"""Tiling: a picture cut into tiles that overlap, and put together again so that nobody sees where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import lcm

import numpy as np
import numpy.typing as npt

from modelhub.errors import UsageError

Pixels = npt.NDArray[np.uint8]
#: Numbers [H, W, C] of 0 to 1.
Values = npt.NDArray[np.float32]

#: Where a tile begins and ends on one side of the picture.
Span = tuple[int, int]

#: Tiles begin at multiples of it, where networks with windows or folded pixels begin anew, too.
GRID = 16
_SIZE, _OVERLAP = 192, 32
#: The part of an overlap, at each end, in which only one of both tiles counts: the other has its edge there.
_MARGIN = 0.25


@dataclass(frozen=True, slots=True)
class Tiling:
    """How large the pictures are that a network gets, in pixels of its input.

    No tile has a longer side than `size`, unless an architecture wants larger multiples than that; 0 is for no tiles.
    Most are shorter, so that all are of one size. Two neighbours share `overlap` pixels. In the outer quarters
    of what they share, the one that has its edge there does not count; between them one fades into the other. So edges
    leave no trace if what a network sees reaches no further than a quarter of the overlap. Raises UsageError.
    """

    size: int = _SIZE
    overlap: int = _OVERLAP

    @classmethod
    def of(cls, size: int | None = None, overlap: int | None = None) -> Tiling:
        """What a user asks for; an overlap that nobody chose is 32, or as much as small tiles can have."""
        size = _SIZE if size is None else size
        return cls(size, min(_OVERLAP, max(0, (size - GRID) // 2)) if overlap is None else overlap)

    def __post_init__(self) -> None:
        if self.overlap < 0:
            raise UsageError(f"An overlap of {self.overlap} pixels is not possible.", "Choose 0 or more; 32 is usual.")
        if self.size and self.overlap > (self.size - GRID) // 2:
            least = 2 * self.overlap + GRID
            raise UsageError(
                f"Tiles of {self.size} pixels cannot overlap by {self.overlap}.",
                f"Choose tiles of {max(least, 2 * GRID)} pixels or more, or 0 for none.",
            )

    def times(self, factor: int) -> Tiling:
        """Tiles and overlaps so many times as large."""
        return Tiling(self.size * factor, self.overlap * factor)

    def spans(self, length: int, multiple: int = 1) -> list[Span]:
        """Where the tiles of a side of `length` begin and end: as few as can be, of one size but for the last."""
        grid = lcm(GRID, multiple)
        least = max(-(-self.overlap // grid) * grid, grid)  # a shorter step, and three tiles would overlap
        longest = max((self.size - self.overlap) // grid * grid, least)
        if not self.size or length <= longest + self.overlap:
            return [(0, length)]
        inside = length - self.overlap
        count = -(-inside // longest)
        step = max(-(-inside // (count * grid)) * grid, least)
        return [(start, min(start + step + self.overlap, length)) for start in range(0, inside, step)]


def ramps(spans: list[Span], scale: int) -> list[Values]:
    """How much each tile counts, at each of its pixels after enlargement: together 1 everywhere."""
    found = [np.ones((stop - start) * scale, np.float32) for start, stop in spans]
    for at, ((_, stop), (start, _)) in enumerate(pairwise(spans)):
        shared = (stop - start) * scale
        fade = _fade(shared)
        found[at][len(found[at]) - shared :] = 1 - fade
        found[at + 1][:shared] = fade
    return found


def _fade(shared: int) -> Values:
    """From 0 to 1 over the middle of `shared` pixels."""
    at = (np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1)
    return np.clip((at - _MARGIN) / (1 - 2 * _MARGIN), 0, 1)


Enlarge = Callable[[Pixels], Values]


def enlarge_tiles(pixels: Pixels, rows: list[Span], columns: list[Span], scale: int, enlarge: Enlarge) -> Pixels:
    """Pixels [H, W, C] -> [scale H, scale W, C]: each tile by `enlarge`, put together, times 255 and rounded.

    Beside the result there is one row of tiles in memory.
    """
    height, width, channels = pixels.shape
    out = np.empty((height * scale, width * scale, channels), np.uint8)
    weights = ramps(columns, scale)
    carried = np.zeros((0, width * scale, channels), np.float32)
    for (top, bottom), fade, done in zip(rows, ramps(rows, scale), _finished(rows), strict=True):
        band = np.zeros(((bottom - top) * scale, width * scale, channels), np.float32)
        for (left, right), weight in zip(columns, weights, strict=True):
            tile = enlarge(pixels[top:bottom, left:right])
            tile *= weight[:, None]
            band[:, left * scale : right * scale] += tile
        band *= fade[:, None, None]
        band[: len(carried)] += carried
        ready = (done - top) * scale
        out[top * scale : done * scale] = to_bytes(band[:ready])
        carried = band[ready:].copy()
    return out


def _finished(rows: list[Span]) -> Iterator[int]:
    """Up to where the picture is done after each row of tiles."""
    yield from (start for start, _ in rows[1:])
    yield rows[-1][1]


def to_bytes(values: Values) -> Pixels:
    """0 to 1 as 0 to 255, rounded, a half to the even side: as A1111 does with what upscalers return."""
    found: Pixels = np.rint(values * np.float32(255)).astype(np.uint8)
    return found
