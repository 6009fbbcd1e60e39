"""A request: everything that decides what a picture looks like, apart from the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelhub.errors import UsageError
from modelhub.text import is_utf8

SIZES = range(64, 2048 + 1, 8)
_MAX_PROMPT = 20_000


@dataclass(frozen=True, slots=True)
class Request:
    """What to render. Picture i of a batch has seed `seed` + i; a `width` or `height` of None is the model's own.

    `sampler` and `schedule` are display names, whatever their case. Raises UsageError for values out of range.
    """

    prompt: str
    negative: str = ""
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"
    steps: int = 20
    cfg: float = 7.0
    seed: int = 1
    width: int | None = None
    height: int | None = None
    batch: int = 1
    clip_skip: int = 1

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt)
        _check_text("negative prompt", self.negative)
        for name, size in (("width", self.width), ("height", self.height)):
            if size is not None and size not in SIZES:
                raise UsageError(
                    f"A {name} of {size} pixels is not possible.",
                    f"Choose a multiple of 8 from {SIZES[0]} to {SIZES[-1]}.",
                )
        _check_range("number of steps", self.steps, 1, 150)
        _check_range("batch", self.batch, 1, 64)
        _check_range("clip skip", self.clip_skip, 1, 12)
        _check_range("seed", self.seed, 0, 2**63 - 65)
        _check_range("CFG scale", self.cfg, 0, 100)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every picture."""
        return tuple(range(self.seed, self.seed + self.batch))


def _check_text(what: str, text: str) -> None:
    if len(text) > _MAX_PROMPT:
        raise UsageError(f"The {what} has {len(text)} characters.", f"{_MAX_PROMPT} are the most.")
    if not is_utf8(text):
        raise UsageError(f"The {what} is not valid Unicode: {text[:80]}.", "Write it as UTF-8.")


def _check_range(what: str, value: float, low: int, high: int) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise UsageError(f"A {what} of {value} is not possible.", f"Choose a number from {low} to {high}.")
