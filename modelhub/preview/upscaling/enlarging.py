"""Enlarging to a goal: an upscaler until the picture is large enough, then LANCZOS to the last pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelhub.errors import NotFoundError
from modelhub.jobs import QUIET, Job
from modelhub.preview.upscaling.names import PIXEL_UPSCALERS, pixel_upscaler
from modelhub.preview.upscaling.tiling import Pixels
from modelhub.preview.upscaling.upscaler import Upscaler, check_size

_REPEATS = 3
_GRAIN = 8


def enlarged(pixels: Pixels, width: int, height: int, upscaler: Upscaler | str, job: Job = QUIET) -> Pixels:
    """Pixels [H, W, 3] as [height, width, 3], as A1111 gets there on the way to its second pass.

    The upscaler, or one of PIXEL_UPSCALERS by name, is used up to three times, until both sides are large enough for
    the greater of both factors; LANCZOS takes the picture from there to multiples of 8, and to the goal. What is not to
    grow goes to LANCZOS alone. Raises NotFoundError for an unknown name, and what the upscaler raises.
    """
    upscaler = _known(upscaler)
    check_size(width, height)
    old_height, old_width = pixels.shape[:2]
    scale = max(width / old_width, height / old_height)
    if scale > 1 and upscaler != "None":
        once = _once(upscaler, int(old_width * scale), int(old_height * scale))
        wide, high = (max(int(side * scale // _GRAIN * _GRAIN), 1) for side in (old_width, old_height))
        pixels = resized(_repeat(pixels, wide, high, once, job), wide, high)
    return resized(pixels, width, height)


def repeated(pixels: Pixels, width: int, height: int, upscaler: Upscaler | str, job: Job = QUIET) -> Pixels:
    """Pixels [H, W, 3] as [height, width, 3]: the upscaler up to three times until no side is too short, then LANCZOS.

    A picture that is to keep its size goes through the upscaler once, for some only restore. Raises as `enlarged`.
    """
    once = _once(_known(upscaler), width, height)
    check_size(width, height)
    keeps_size = pixels.shape[:2] == (height, width)
    pixels = once(pixels, job) if keeps_size else _repeat(pixels, width, height, once, job)
    return resized(pixels, width, height)


Once = Callable[[Pixels, Job], Pixels]


def _repeat(pixels: Pixels, width: int, height: int, once: Once, job: Job) -> Pixels:
    """Enlarged up to three times, or until both sides are large enough, or nothing grows."""
    for _ in range(_REPEATS):
        old = pixels.shape
        if old[0] >= height and old[1] >= width:
            break
        pixels = once(pixels, job)
        if pixels.shape == old:
            break
    return pixels


def _known(upscaler: Upscaler | str) -> Upscaler | str:
    if not isinstance(upscaler, str):
        return upscaler
    found = pixel_upscaler(upscaler)
    if found is None:
        raise NotFoundError(f"There is no upscaler '{upscaler}'.", f"Without a file: {', '.join(PIXEL_UPSCALERS)}.")
    return found


def _once(upscaler: Upscaler | str, width: int, height: int) -> Once:
    """One use of an upscaler; without a file it makes the picture `width` by `height` at once."""
    if not isinstance(upscaler, str):
        return upscaler
    return lambda pixels, _: resized(pixels, width, height, nearest=upscaler == "Nearest")


def resized(pixels: Pixels, width: int, height: int, *, nearest: bool = False) -> Pixels:
    """Pixels [H, W] or [H, W, 3] at another size by Pillow's LANCZOS, or by their nearest neighbours."""
    if pixels.shape[:2] == (height, width):
        return pixels
    from PIL import Image

    how = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    return np.array(Image.fromarray(pixels).resize((width, height), how))
