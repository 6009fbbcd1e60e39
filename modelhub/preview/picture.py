"""A picture: pixels, how they were made, and in words what looks wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Pixels = npt.NDArray[np.uint8]

#: Below these standard deviations (of 255) a picture is one flat colour, or nearly.
_FLAT, _PALE = 1.0, 4.0
_BLACK = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One rendered picture: pixels [H, W, 3], its seed and infotext.

    `mean` and `std` are of all pixel values, 0 to 255; `warnings` are sentences about a picture that cannot be right.
    """

    pixels: Pixels
    seed: int
    infotext: str
    mean: float
    std: float
    warnings: tuple[str, ...]


def to_pixels(image: Tensor) -> Pixels:
    """Image [3, H, W] of -1..1 to pixels [H, W, 3]: clamped, times 255, cut (not rounded) as A1111 does; NaN is 0."""
    scaled = ((image.float() + 1) / 2).nan_to_num(nan=0.0).clamp(0, 1) * 255
    return scaled.to(torch.uint8).permute(1, 2, 0).cpu().contiguous().numpy()


def develop(image: Tensor, latents: Tensor, seed: int, infotext: str) -> Picture:
    """The finished picture of a decoded image [3, H, W] and the latents [C, h, w] that it was decoded from."""
    pixels = to_pixels(image)
    mean, std = float(pixels.mean()), float(pixels.std())
    warnings = _not_numbers(image, latents) or _too_plain(mean, std)
    return Picture(pixels, seed, infotext, mean, std, warnings)


def _not_numbers(image: Tensor, latents: Tensor) -> tuple[str, ...]:
    if not latents.isfinite().all():
        return (
            "The denoiser returned values that are not numbers (NaN): its weights are broken, or fp16 is too narrow.",
        )
    if not image.isfinite().all():
        return ("The VAE returned values that are not numbers (NaN): try another VAE.",)
    return ()


def _too_plain(mean: float, std: float) -> tuple[str, ...]:
    if std < _FLAT and mean < _BLACK:
        return ("The picture is black.",)
    if std < _FLAT:
        return ("The picture is one flat colour.",)
    if std < _PALE:
        return (f"The picture is almost one flat colour (standard deviation {std:.1f} of 255).",)
    return ()
