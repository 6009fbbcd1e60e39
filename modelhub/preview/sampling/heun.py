"""Heun's method: an Euler step, corrected by the slope at its end."""

from __future__ import annotations

from torch import Tensor

from modelhub.preview.sampling.descents import descend
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import toward


@sampler("Heun", calls=2, ensd=True, churn=True, noise=True)
def heun(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, two model calls a step, the last to 0 with one. Karras et al. 2022, algorithm 2."""
    return descend(heun_step, denoise, x, sigmas, run)


def heun_step(denoise: Denoise, x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    """x' = x + (sigma' - sigma) (d + d') / 2, with the slopes d = (x - D) / sigma here and d' at the end of d."""
    ahead = toward(x, clean, sigma, following)
    if following == 0:
        return ahead
    slope = (x - clean) / sigma
    slope_ahead = (ahead - denoise(ahead, following)) / following
    return x + (slope + slope_ahead) * ((following - sigma) / 2)
