"""Restart: Heun's method that goes back up once or twice near the end, with fresh noise, and comes down again."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from modelhub.preview.sampling.heun import heun_step
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import lifted

#: Between these sigmas the way is gone again; with so few steps it is not.
_LOW, _HIGH = 0.1, 2.0
_FEWEST, _MANY = 20, 36


@sampler("Restart", schedule="Karras", calls=2, ensd=True)
def restart(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Xu et al. 2023, "Restart Sampling for Improving Generative Processes", with A1111's choice of ways.

    From 20 steps on the sigmas are those of Karras with rho 7 between the given ends. Below 36 steps 9 of them are
    the second way, from there on a quarter is the second and a quarter the third.
    """
    level, flow = math.inf, run.levels.flow
    for index, (sigma, following) in enumerate(way(sigmas, flow=flow)):
        if sigma > level:
            scale, up = lifted(level, sigma, flow=flow)
            x = x * scale + run.noise() * up
        clean = denoise(x, sigma)
        x = heun_step(denoise, x, clean, sigma, following)
        run.step(index, clean)
        level = following
    return x


def way(sigmas: Tensor, *, flow: bool) -> list[tuple[float, float]]:
    """(sigma, next sigma) of every step, as many as `sigmas` has steps; where it rises, noise is due.

    In a `flow` the ends of the second way are where noise against picture, sigma / (1 - sigma), is what it is in
    other models.
    """
    steps = len(sigmas) - 1
    if steps < _FEWEST:
        return list(pairwise(sigmas.tolist()))
    again, times = (9, 1) if steps < _MANY else (steps // 4, 2)
    main = [*_karras(steps - again * times, float(sigmas[-2]), float(sigmas[0])), 0.0]
    low, high = (_nearest(main, end / (1 + end) if flow else end) for end in (_LOW, _HIGH))
    found = list(pairwise(main))
    if low > 0 and high < low:
        found[low:low] = list(pairwise(_karras(again + 1, main[low], main[high]))) * times
    return found


def _karras(steps: int, low: float, high: float) -> list[float]:
    """Karras et al. 2022, equation 5, in float32 and by the same steps as in k-diffusion.

    Its last place decides whether a step after the second way still rises, and so draws noise.
    """
    first, last = high ** (1 / 7), low ** (1 / 7)
    found: list[float] = ((first + torch.linspace(0, 1, steps) * (last - first)) ** 7).tolist()
    return found


def _nearest(values: list[float], wanted: float) -> int:
    return min(range(len(values)), key=lambda place: abs(values[place] - wanted))
