"""Enlarging a whole picture: its colours, its transparency apart, and a note in its texts of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from modelhub.errors import UsageError
from modelhub.formats.images import PARAMETERS
from modelhub.formats.whole_images import WholeImage
from modelhub.jobs import QUIET, Job
from modelhub.preview.pictures.infotext import parse_infotext, write_infotext
from modelhub.preview.upscaling.enlarging import repeated
from modelhub.preview.upscaling.names import pixel_upscaler
from modelhub.preview.upscaling.tiling import Pixels
from modelhub.preview.upscaling.upscaler import Upscaler, check_size

#: The chunk in which A1111 says what was done to a picture after it was made.
POSTPROCESSING = "postprocessing"


@dataclass(frozen=True, slots=True)
class Goal:
    """How large: `scale` times, or exactly `size` (width, height), what is too much cut off evenly on both sides."""

    scale: float = 2.0
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        """As in the names of files: x4, x1.5, 1024x768."""
        return f"x{self.scale:g}" if self.size is None else f"{self.size[0]}x{self.size[1]}"

    def before_cut(self, width: int, height: int) -> tuple[int, int]:
        """The size of a picture that is enlarged and not cut yet: its sides keep their proportion."""
        scale = self.scale if self.size is None else max(self.size[0] / width, self.size[1] / height)
        wide, high = (max(1, round(side * scale)) for side in (width, height))
        return (wide, high) if self.size is None else (max(wide, self.size[0]), max(high, self.size[1]))

    def after_cut(self, width: int, height: int) -> tuple[int, int]:
        """The size of what comes out."""
        return self.size or self.before_cut(width, height)

    def settings(self) -> dict[str, object]:
        """What A1111 writes into infotext about it."""
        if self.size is None:
            return {"Postprocess upscale by": f"{self.scale:g}"}
        return {"Postprocess upscale to": str(self), "Postprocess crop to": str(self)}


def natural_goal(upscaler: Upscaler | str) -> Goal:
    """As large as an upscaler makes it. Raises UsageError for one that makes it any size."""
    if isinstance(upscaler, str):
        raise UsageError(
            f"{pixel_upscaler(upscaler) or upscaler} makes pictures of any size.",
            "Say how large: --scale 2, or --size 1024x1024.",
        )
    return Goal(upscaler.scale)


def upscale(image: WholeImage, goal: Goal, upscaler: Upscaler | str, job: Job = QUIET) -> WholeImage:
    """`image` enlarged to `goal` by an upscaler, or one of PIXEL_UPSCALERS by name, and what was done in its texts.

    Transparency goes through the upscaler as a grey picture of its own. Raises what `repeated` raises.
    """
    width, height = goal.before_cut(*image.size)
    check_size(width, height)
    pixels = repeated(image.pixels, width, height, upscaler, job)
    alpha = None if image.alpha is None else _enlarged_alpha(image.alpha, width, height, upscaler, job)
    name = (pixel_upscaler(upscaler) or upscaler) if isinstance(upscaler, str) else upscaler.name
    return replace(
        image,
        pixels=_cut(pixels, goal),
        alpha=None if alpha is None else _cut(alpha, goal),
        texts=noted(image.texts, {**goal.settings(), "Postprocess upscaler": name}),
    )


def _enlarged_alpha(alpha: Pixels, width: int, height: int, upscaler: Upscaler | str, job: Job) -> Pixels:
    """Alpha [H, W] as [height, width]; one that is the same everywhere stays so."""
    if alpha.min() == alpha.max():
        return np.full((height, width), alpha.flat[0], np.uint8)
    grey = repeated(np.stack([alpha] * 3, -1), width, height, upscaler, job)
    found: Pixels = np.rint(grey.mean(-1)).astype(np.uint8)
    return found


def _cut(pixels: Pixels, goal: Goal) -> Pixels:
    """The middle of what is larger than the goal."""
    if goal.size is None:
        return pixels
    width, height = goal.size
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def noted(texts: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, str]:
    """The texts of a picture with what was done to it: in a chunk of its own, and behind the settings of an infotext.

    A1111 does the one for pictures that are enlarged later, the other for those that are when they are made. What is no
    infotext stays as it is.
    """
    pairs = write_infotext("", "", settings)
    found = {**texts, POSTPROCESSING: pairs}
    if parse_infotext(texts.get(PARAMETERS, "")).settings:
        found[PARAMETERS] = f"{texts[PARAMETERS].rstrip()}, {pairs}"
    return found
