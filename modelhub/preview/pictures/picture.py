"""A picture: pixels, how they were made, and in words what looks wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from modelhub.preview.checking.looks import looks

Pixels = npt.NDArray[np.uint8]


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
    return Picture(pixels, seed, infotext, mean, std, looks(pixels, latents, image))
