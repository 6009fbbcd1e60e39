"""A request: everything that decides what a picture looks like, apart from the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelhub.errors import UsageError
from modelhub.preview.sampling.tuning import Tuning
from modelhub.text import brief, is_utf8

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from modelhub.catalog.architectures import Preview

#: Where noise comes from: CUDA's generator computed anywhere (A1111 on NVIDIA), the CPU's, the device's own.
SOURCES = ("NV", "CPU", "GPU")
#: How weights of words change their vectors.
EMPHASES = ("Original", "No norm", "Ignore", "None")
SIZES = range(64, 2048 + 1, 8)
_MAX_PROMPT = 20_000
#: Generators take 63 bits; the seeds of a batch count up to here.
_LAST_SEED = 2**63 - 1
_LARGEST = 8192


@dataclass(frozen=True, slots=True)
class Variation:
    """Noise a part of the way from that of a picture's seed to that of another: 0 is the one, 1 the other."""

    seed: int
    strength: float


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass, larger: the picture of the first is enlarged by `upscaler` and sampled again.

    `upscaler` is the name of one that needs no file ("Latent", "Lanczos", ...) or of the file that is used. `scale` or
    both `width` and `height` in pixels say how large. 0 steps are as many as in the first pass; None and "" as there.
    """

    scale: float = 2.0
    width: int | None = None
    height: int | None = None
    upscaler: str = "Latent"
    steps: int = 0
    denoise: float = 0.7
    sampler: str | None = None
    schedule: str | None = None
    cfg: float | None = None
    prompt: str = ""
    negative: str = ""

    def __post_init__(self) -> None:
        _check_text("prompt of the second pass", self.prompt)
        _check_text("negative prompt of the second pass", self.negative)
        _check_range("number of times to enlarge", self.scale, 1, 8)
        _check_range("number of steps in the second pass", self.steps, 0, 150)
        _check_range("denoising strength", self.denoise, 0, 1)
        if (self.width is None) != (self.height is None):
            raise UsageError("A second pass has a width and a height, or neither.", "Give both.")
        for name, size in (("width", self.width), ("height", self.height)):
            if size is not None:
                _check_range(f"{name} of the second pass", size, 64, _LARGEST)
        if self.cfg is not None:
            _check_range("CFG scale in the second pass", self.cfg, 0, 100)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A picture [H, W, 3] to start from, and how much of it is made anew: 1 is all.

    `mask` [H, W]: 255 is to be made anew, 0 stays; it is cut to black and white and blurred by `mask_blur` pixels.
    `image_cfg` is the guidance by the picture of pix2pix models.
    """

    pixels: npt.NDArray[np.uint8]
    denoise: float = 0.75
    mask: npt.NDArray[np.uint8] | None = None
    image_cfg: float = 1.5
    mask_blur: int = 4

    def __post_init__(self) -> None:
        _check_range("denoising strength", self.denoise, 0, 1)
        _check_range("image CFG scale", self.image_cfg, 0, 100)
        _check_range("blur of a mask", self.mask_blur, 0, 64)


@dataclass(frozen=True, slots=True)
class Request:
    """What to render. Picture i of a batch has seed `seed` + i, or with a variation the seed of that + i.

    A `width` or `height` of None is the model's own.

    `sampler` and `schedule` are display names, whatever their case. `guidance` is the distilled CFG scale of Flux, None
    as the model has it; `rng` one of SOURCES; `ensd` is added to the seed for noise after the first; `resize_from` is
    the (width, height) whose noise stands in the middle; `switch_at` is the part of the way after which the refiner
    goes on. Raises UsageError for values out of range.
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
    emphasis: str = "Original"
    guidance: float | None = None
    rng: str = "NV"
    ensd: int = 0
    variation: Variation | None = None
    resize_from: tuple[int, int] | None = None
    tuning: Tuning = field(default_factory=Tuning)
    hires: Hires | None = None
    switch_at: float = 0.8
    start: Start | None = None

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt)
        _check_text("negative prompt", self.negative)
        for name, size in (("width", self.width), ("height", self.height)):
            if size is not None:
                _check_size(name, size)
        _check_range("number of steps", self.steps, 1, 150)
        _check_range("batch", self.batch, 1, 64)
        _check_range("clip skip", self.clip_skip, 1, 12)
        _check_range("seed", self.seed, 0, _LAST_SEED - self.batch)
        _check_range("CFG scale", self.cfg, 0, 100)
        _check_range("ENSD", self.ensd, -_LAST_SEED, _LAST_SEED)
        _check_range("switch to the refiner", self.switch_at, 0, 1)
        _check_word("emphasis", self.emphasis, EMPHASES)
        _check_word("source of noise", self.rng, SOURCES)
        if self.guidance is not None:
            _check_range("guidance", self.guidance, 0, 100)
        self._check_noise()
        if self.hires is not None and self.start is not None:
            raise UsageError("A picture to start from is not enlarged.", "Leave out hires fix, or the picture.")

    def _check_noise(self) -> None:
        if self.variation is not None:
            _check_range("seed of a variation", self.variation.seed, 0, _LAST_SEED - self.batch)
            _check_range("strength of a variation", self.variation.strength, 0, 1)
        for name, size in zip(("width", "height"), self.resize_from or (), strict=False):
            _check_size(f"{name} of noise", size)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every picture."""
        return tuple(self.one(place).seed for place in range(self.batch))

    def one(self, place: int) -> Request:
        """The request for one picture of the batch, counted from 0; variations have one seed, and vary by others."""
        if self.variation is None or self.variation.strength == 0:
            return replace(self, batch=1, seed=self.seed + place)
        return replace(self, batch=1, variation=replace(self.variation, seed=self.variation.seed + place))


def usual_settings(preview: Preview | None) -> dict[str, Any]:
    """The settings of a `Request` that suit an architecture, of which the catalog says this."""
    if preview is None:
        return {}
    return {"sampler": preview.sampler, "schedule": preview.schedule, "steps": preview.steps, "cfg": preview.cfg}


def _check_text(what: str, text: str) -> None:
    if len(text) > _MAX_PROMPT:
        raise UsageError(f"The {what} has {len(text)} characters.", f"{_MAX_PROMPT} are the most.")
    if not is_utf8(text):
        raise UsageError(f"The {what} is not valid Unicode: {text[:80]}.", "Write it as UTF-8.")


def _check_size(what: str, size: int) -> None:
    if size not in SIZES:
        raise UsageError(
            f"A {what} of {size} pixels is not possible.", f"Choose a multiple of 8 from {SIZES[0]} to {SIZES[-1]}."
        )


def _check_word(what: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise UsageError(f"There is no {what} {brief(word, 60)!r}.", f"Choose one of: {', '.join(words)}.")


def _check_range(what: str, value: float, low: int, high: int) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise UsageError(f"A {what} of {value} is not possible.", f"Choose a number from {low} to {high}.")
