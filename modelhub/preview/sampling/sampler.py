"""What a sampler is: a function from noise to picture through a denoiser, and a few facts about it.

Samplers know nothing of prompts or interfaces. Names are those of A1111.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypedDict, Unpack

from torch import Tensor

from modelhub.preview.registry import Registry
from modelhub.preview.sampling.levels import Levels
from modelhub.preview.sampling.tuning import Tuning

Draw = Callable[[], Tensor]
OnStep = Callable[[int, Tensor], None]
#: Noise of the path of a Brownian motion between two sigmas, of variance one: (sigma, following) -> like x.
Path = Callable[[float, float], Tensor]


class Denoise(Protocol):
    """A guided model, in sigma space."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The clean latents that the model sees in x [N, C, h, w] = clean + sigma * noise, for `sigma` > 0.

        In a flow model x = (1 - sigma) * clean + sigma * noise.
        """
        ...

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The same, and what the model sees with the negative prompt alone; one call of the model."""
        ...


@dataclass(frozen=True)
class Run:
    """What a sampler is given beside x and sigmas.

    `noise()` draws fresh noise like x from the generators of the pictures. `brownian(lowest, highest)` is the path of
    SDE samplers between these sigmas. `step(index, clean)` is told of every step done, `index` from 0. `levels` are
    those of the model, for samplers that think in timesteps; with `levels.flow` x is an interpolation, not a sum.
    """

    noise: Draw
    brownian: Callable[[float, float], Path]
    step: OnStep
    levels: Levels
    tuning: Tuning = field(default_factory=Tuning)

    def eta(self, default: float = 1.0) -> float:
        """The eta asked for, or the sampler's own."""
        return default if self.tuning.eta is None else self.tuning.eta


class Sample(Protocol):
    """A sampler's function: x [N, C, h, w] with the noise of `sigmas[0]` to clean latents of the same shape.

    `sigmas` is 1-D, on the CPU, and falls to 0 (with KL Optimal, and for samplers of timesteps: almost).
    """

    def __call__(self, denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor: ...


class Facts(TypedDict, total=False):
    """The facts of `Sampler` that differ from its defaults."""

    schedule: str
    calls: int
    discard: bool
    timesteps: bool
    ensd: bool
    eta: float | None
    churn: bool
    noise: bool
    alone: bool
    flow: bool
    stride: int
    cfg_divisor: float
    reported: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A registered sampler.

    `schedule` is the one that "Automatic" means for it. `calls` is how many denoiser calls a step has, by which prompts
    that change on the way are timed. `discard`: it leaves out the last but one sigma.

    `timesteps`: it walks its own timesteps 1 + i * (1000 // steps), the highest first, whatever the schedule; its x is
    of variance one, (clean + sigma * noise) / sqrt(1 + sigma^2), before and after. `stride`: it knows every so manyth
    level of the model alone, counted from the highest; in a flow all of them.

    `eta` is its default, None where it has none; `churn` and `noise` tell whether it heeds those settings. `ensd`: the
    noise on the way, if it adds any, is that of the seed plus ENSD; SDE samplers have a path of their own. `alone`: its
    steps depend on all pictures at once, so that they are made one by one. `flow`: it works for flow models. The CFG
    scale is divided by `cfg_divisor`. `reported` is how many steps `Run.step` will be told of, from the number of
    sigmas; only DPM adaptive cannot know.
    """

    name: str
    sample: Sample
    schedule: str = "Uniform"
    calls: int = 1
    discard: bool = False
    timesteps: bool = False
    ensd: bool = False
    eta: float | None = None
    churn: bool = False
    noise: bool = False
    alone: bool = False
    flow: bool = True
    stride: int = 1
    cfg_divisor: float = 1.0
    reported: Callable[[int], int] = lambda sigmas: sigmas - 1


SAMPLERS: Registry[Sampler] = Registry("sampler")


def sampler(name: str, **facts: Unpack[Facts]) -> Callable[[Sample], Sample]:
    """Register a sampler under its display name; the facts are those of `Sampler`."""

    def register(function: Sample) -> Sample:
        SAMPLERS.add(name, Sampler(name, function, **facts))
        return function

    return register
