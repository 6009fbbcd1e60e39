"""DPM-Solver++: steps that are exact where what is seen does not change, in the variable l = -log(sigma)."""

from __future__ import annotations

import math

from torch import Tensor

from modelhub.preview.sampling.descents import descend_ancestrally
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import walk


@sampler("DPM++ 2M", schedule="Karras")
def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, one model call a step.

    h = l' - l, r = h_before / h, D = (1 + 1/2r) D_i - 1/2r D_(i-1),  x' = (sigma'/sigma) x - (e^-h - 1) D.
    The first step and the one to sigma 0 use D_i alone. Lu et al. 2022, "DPM-Solver++", algorithm 2 (multistep, data
    prediction).
    """
    before: Tensor | None = None
    h_before = 0.0
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        h = math.log(sigma / following) if following > 0 else math.inf
        if before is None or following == 0:
            seen = clean
        else:
            weight = h / (2 * h_before)
            seen = (1 + weight) * clean - weight * before
        x = exponential_step(x, seen, sigma, following)
        before, h_before = clean, h
        run.step(index, clean)
    return x


@sampler("DPM++ 2S a", schedule="Karras", calls=2, ensd=True, eta=1.0, noise=True)
def dpmpp_2s_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, two model calls a step, ancestral.

    Lu et al. 2022, "DPM-Solver++", algorithm 1 (singlestep, data prediction, r = 1/2), with the noise of k-diffusion.
    """
    return descend_ancestrally(_two_stages, denoise, x, sigmas, run, noise=run.tuning.noise)


def _two_stages(denoise: Denoise, x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    """What is seen at the midpoint of l carries over the whole step; to 0 there is no midpoint."""
    if following > 0:
        middle = math.sqrt(sigma * following)
        clean = denoise(exponential_step(x, clean, sigma, middle), middle)
    return exponential_step(x, clean, sigma, following)


def exponential_step(x: Tensor, seen: Tensor, sigma: float, following: float) -> Tensor:
    """x' = (sigma'/sigma) x + (1 - sigma'/sigma) seen: the way to `following` if `seen` stays what it is."""
    return (following / sigma) * x + ((sigma - following) / sigma) * seen
