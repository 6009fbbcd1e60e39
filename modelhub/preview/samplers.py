"""Samplers: one function each, from noise to picture through a denoiser; they know nothing of prompts or interfaces.

`denoise(x, sigma)` returns the clean latents that the model sees in `x` = clean + sigma * noise. `sigmas` is 1-D and
falls to 0. `noise()` draws fresh noise like `x`. `step(index, clean)` is told of every step done. The start `x` already
has the noise of `sigmas[0]`. Names are those of A1111.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from torch import Tensor

from modelhub.preview.registry import Registry

Denoise = Callable[[Tensor, float], Tensor]
Draw = Callable[[], Tensor]
OnStep = Callable[[int, Tensor], None]


class Sample(Protocol):
    """A sampler's function: x [N, C, h, w] with noise of `sigmas[0]` to latents of the same shape."""

    def __call__(self, denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Draw, step: OnStep) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Sampler:
    """A registered sampler; `schedule` is the one that "Automatic" means for it."""

    name: str
    sample: Sample
    schedule: str


_SAMPLERS: Registry[Sampler] = Registry("sampler")


def sampler(name: str, *, schedule: str = "Uniform") -> Callable[[Sample], Sample]:
    """Register a sampler under its display name, with the schedule that suits it."""

    def register(function: Sample) -> Sample:
        _SAMPLERS.add(name, Sampler(name, function, schedule))
        return function

    return register


def find_sampler(name: str) -> Sampler:
    """The sampler of a display name, whatever its case and spaces. Raises NotFoundError that lists all names."""
    return _SAMPLERS.find(name)


def sampler_names() -> list[str]:
    """Display names of all samplers."""
    return _SAMPLERS.names()


def _pairs(sigmas: Tensor) -> Iterator[tuple[int, float, float]]:
    """(index, sigma, next sigma) of every step."""
    values: list[float] = sigmas.tolist()
    for index, (sigma, following) in enumerate(pairwise(values)):
        yield index, sigma, following


@sampler("DPM++ 2M", schedule="Karras")
def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Draw, step: OnStep) -> Tensor:
    """Second order, one model call a step, in the log-noise variable l = -log(sigma).

    h = l' - l, r = h_before / h, D = (1 + 1/2r) D_i - 1/2r D_(i-1),  x' = (sigma'/sigma) x - (e^-h - 1) D.
    The first step and the one to sigma 0 use D_i alone. Lu et al. 2022, "DPM-Solver++", algorithm 2 (multistep, data
    prediction).
    """
    before: Tensor | None = None
    h_before = 0.0
    for index, sigma, following in _pairs(sigmas):
        clean = denoise(x, sigma)
        h = math.log(sigma / following) if following > 0 else math.inf
        if before is None or following == 0:
            slope = clean
        else:
            weight = h / (2 * h_before)
            slope = (1 + weight) * clean - weight * before
        x = (following / sigma) * x - math.expm1(-h) * slope
        before, h_before = clean, h
        step(index, clean)
    return x


@sampler("Euler")
def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Draw, step: OnStep) -> Tensor:
    """First order: x' = x + (sigma' - sigma) (x - D) / sigma. Karras et al. 2022, algorithm 2 without churn."""
    for index, sigma, following in _pairs(sigmas):
        clean = denoise(x, sigma)
        x = x + (following - sigma) / sigma * (x - clean)
        step(index, clean)
    return x


@sampler("Euler a")
def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Draw, step: OnStep, eta: float = 1.0
) -> Tensor:
    """Euler down to a lower level than asked for, then fresh noise up to it; `eta` 0 adds none and equals Euler.

    The ancestral step of DDPM (Ho et al. 2020) with variance scale eta (Song et al. 2021, "DDIM", section 4.1) in the
    sigma parametrisation, as in k-diffusion.
    """
    for index, sigma, following in _pairs(sigmas):
        clean = denoise(x, sigma)
        down, up = ancestral(sigma, following, eta)
        x = x + (down - sigma) / sigma * (x - clean)
        if up > 0:
            x = x + up * noise()
        step(index, clean)
    return x


def ancestral(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """(down, up): the level to step down to and the noise to add, so that down^2 + up^2 = following^2.

    up = min(sigma', eta sqrt(sigma'^2 (sigma^2 - sigma'^2) / sigma^2)).
    """
    up = min(following, eta * following * math.sqrt(max(0.0, sigma**2 - following**2)) / sigma)
    return math.sqrt(max(0.0, following**2 - up**2)), up
