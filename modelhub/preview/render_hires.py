"""Hires fix: the first pass enlarged, as latents or as pixels, for a second one to add detail."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from modelhub.jobs import QUIET, Job
from modelhub.preview.models.model import Model
from modelhub.preview.pictures.picture import to_pixels
from modelhub.preview.render_start import encoded, to_image
from modelhub.preview.request import Hires
from modelhub.preview.upscaling.names import LATENT_NAMES

if TYPE_CHECKING:
    from modelhub.preview.upscaling.upscaler import Upscaler


class _Mode(NamedTuple):
    """How latents are interpolated, and whether what is between them is averaged."""

    mode: str
    antialias: bool = False


#: A1111's upscalers that enlarge latents.
LATENT_UPSCALERS = MappingProxyType(
    dict(
        zip(
            LATENT_NAMES,
            (
                _Mode("bilinear"),
                _Mode("bilinear", antialias=True),
                _Mode("bicubic"),
                _Mode("bicubic", antialias=True),
                _Mode("nearest"),
                _Mode("nearest-exact"),
            ),
            strict=True,
        )
    )
)


class Target(NamedTuple):
    """Pixels to enlarge to, and of these the pixels that remain when what does not fit is cut off the sides."""

    width: int
    height: int
    final_width: int
    final_height: int


def target(hires: Hires, width: int, height: int) -> Target:
    """How large the second pass is, by A1111's rules.

    By `scale`, cut to whole pixels; or `hires.width` x `hires.height`, filled and what is too much cut off.
    """
    if hires.width is None or hires.height is None:
        wide, high = int(width * hires.scale), int(height * hires.scale)
        return Target(wide, high, wide, high)
    if width * hires.height < hires.width * height:
        return Target(hires.width, hires.width * height // width, hires.width, hires.height)
    return Target(hires.height * width // height, hires.height, hires.width, hires.height)


def enlarge(
    model: Model, latents: Tensor, goal: Target, upscaler: str | Upscaler, seeds: Sequence[int], job: Job = QUIET
) -> Tensor:
    """Latents [N, C, h, w] for the second pass; `upscaler` is the name of one that needs no file, or one that did."""
    factor = model.latent.factor
    if isinstance(upscaler, str) and upscaler in LATENT_UPSCALERS:
        found = _interpolated(latents, LATENT_UPSCALERS[upscaler], goal.height // factor, goal.width // factor)
    else:
        found = _through_pixels(model, latents, goal, upscaler, seeds, job)
    return _cut(found, goal, factor)


def _interpolated(latents: Tensor, how: _Mode, height: int, width: int) -> Tensor:
    return F.interpolate(latents, size=(height, width), mode=how.mode, antialias=how.antialias)


def _through_pixels(
    model: Model, latents: Tensor, goal: Target, upscaler: str | Upscaler, seeds: Sequence[int], job: Job
) -> Tensor:
    """Decoded, enlarged as a picture of bytes, encoded again."""
    from modelhub.preview.upscaling.enlarging import enlarged

    images = []
    with job.phase("enlarging", len(latents), "pictures") as advance:
        for latent in latents:
            pixels = enlarged(to_pixels(model.decode(latent)), goal.width, goal.height, upscaler, job)
            images.append(to_image(pixels))
            advance()
    return encoded(model, images, seeds)


def _cut(latents: Tensor, goal: Target, factor: int) -> Tensor:
    """The middle of latents, where the proportions are others; the odd one goes from the end."""
    more_y, more_x = ((goal.height - goal.final_height) // factor, (goal.width - goal.final_width) // factor)
    top, left = more_y // 2, more_x // 2
    rows, columns = latents.shape[-2] - more_y, latents.shape[-1] - more_x
    return latents[..., top : top + rows, left : left + columns]
