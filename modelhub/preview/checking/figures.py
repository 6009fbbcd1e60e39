"""Figures of a picture: brightness, contrast, colour, detail, and how much its parts have to do with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: A latent cell is so many pixels wide in every architecture.
CELL = 8
#: How the eye weighs red, green and blue (ITU-R BT.601).
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Figures:
    """What can be measured of pixels [H, W, 3].

    `mean` and `std` are of all values, `spread` the root of the mean variance of the three channels: 0 for one colour,
    whichever. `low` is the darkest value and `span` the way from it to the brightest, but for 0.5 % on either side. All
    are 0 to 255, and so are `saturation`, the mean distance of the strongest from the weakest channel, `contrast`, the
    standard deviation of the luma, and `detail`, the root mean square of its second differences. `structure` is how
    much neighbouring latent cells have in common, from -1 to 1: good pictures have 0.4 and more, large noise has 0.3.
    """

    mean: float
    std: float
    spread: float
    low: float
    span: float
    saturation: float
    contrast: float
    detail: float
    structure: float

    def as_dict(self) -> Mapping[str, float]:
        """Plain values for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures(pixels: Pixels) -> Figures:
    """Measure pixels [H, W, 3]."""
    values = pixels.astype(np.float32)
    luma = values @ _LUMA
    low, high = np.quantile(pixels, (0.005, 0.995))
    return Figures(
        mean=float(values.mean()),
        std=float(values.std()),
        spread=float(np.sqrt(values.var(axis=(0, 1)).mean())),
        low=float(low),
        span=float(high - low),
        saturation=float((values.max(axis=2) - values.min(axis=2)).mean()),
        contrast=float(luma.std()),
        detail=_detail(luma),
        structure=neighbourliness(cells(values)),
    )


def cells(values: Floats) -> Floats:
    """Means of pixels [H, W, 3] over latent cells: [3, H // 8, W // 8]; the pixels themselves of a tiny picture."""
    height, width = (side // CELL for side in values.shape[:2])
    if height < 2 or width < 2:
        return values.transpose(2, 0, 1)
    whole = values[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL, -1)
    return np.asarray(whole.mean(axis=(1, 3), dtype=np.float32).transpose(2, 0, 1))


def neighbourliness(planes: npt.NDArray[np.floating]) -> float:
    """The correlation of values next to each other in planes [C, h, w], all planes together: 1 smooth, 0 noise.

    Moran's I (Moran 1950) of neighbours in a row or in a column, whichever is more: stripes are no noise. 1 where all
    values are equal.
    """
    centred = np.asarray(planes, dtype=np.float64)
    centred = centred - centred.mean(axis=(-2, -1), keepdims=True)
    variance = float(np.square(centred).mean())
    if variance < 1e-12 or min(centred.shape[-2:]) < 2:
        return 1.0
    along = float((centred[..., 1:] * centred[..., :-1]).mean())
    down = float((centred[..., 1:, :] * centred[..., :-1, :]).mean())
    return max(along, down) / variance


def _detail(luma: Floats) -> float:
    """The root mean square of what a value differs from the mean of its four neighbours (the discrete Laplacian)."""
    if min(luma.shape) < 3:
        return 0.0
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(np.sqrt(np.square(luma[1:-1, 1:-1] - around / 4).mean()))
