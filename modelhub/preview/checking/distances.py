"""How far two pictures of one seed are apart, in colours and in what stands where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modelhub.errors import UsageError
from modelhub.preview.checking.figures import Floats, Pixels, cells
from modelhub.preview.checking.looks import looks


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of one model: pixels [H, W, 3]. `warnings`: what is known to look wrong; None: it is looked at."""

    pixels: Pixels
    warnings: tuple[str, ...] | None = None

    @property
    def wrong(self) -> tuple[str, ...]:
        """Sentences about what cannot be right."""
        return looks(self.pixels) if self.warnings is None else self.warnings


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two pictures are apart, 0 for equal ones.

    `pixels` is the root mean square of all differences, 0 to 255; `structure` is 1 minus the correlation of the means
    of 8 x 8 pixels, 0 to 2.
    """

    pixels: float
    structure: float

    @property
    def whole(self) -> float:
        """One number to sort by: half of it the pixels (as a part of 255), half the structure."""
        return self.pixels / 255 + self.structure / 2

    def as_dict(self) -> Mapping[str, float]:
        """Plain values for JSON."""
        return {"pixels": round(self.pixels, 3), "structure": round(self.structure, 4)}


def distance(one: Shot, other: Shot) -> Distance:
    """How far two pictures of one size are apart. Raises UsageError for two sizes."""
    if one.pixels.shape != other.pixels.shape:
        shapes = " and ".join(f"{shot.pixels.shape[1]}x{shot.pixels.shape[0]}" for shot in (one, other))
        raise UsageError(f"Pictures of {shapes} pixels cannot be compared.", "Render all models at one size.")
    left, right = (shot.pixels.astype(np.float32) for shot in (one, other))
    return Distance(
        pixels=float(np.sqrt(np.square(left - right).mean())), structure=1 - _correlation(cells(left), cells(right))
    )


def _correlation(one: Floats, other: Floats) -> float:
    """The correlation of two arrays, all channels together; of two that are constant 1, of one that is 0."""
    left, right = (np.asarray(each, dtype=np.float64).ravel() for each in (one, other))
    left, right = left - left.mean(), right - right.mean()
    spread = float(np.sqrt(np.square(left).sum() * np.square(right).sum()))
    if spread < 1e-9:
        return 1.0 if np.allclose(one, other) else 0.0
    return float((left * right).sum() / spread)
