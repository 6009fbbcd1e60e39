"""Euler's method, and its ancestral twin."""

from __future__ import annotations

from torch import Tensor

from modelhub.preview.sampling.descents import descend, descend_ancestrally
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import toward


@sampler("Euler", ensd=True, churn=True, noise=True)
def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """First order: x' = x + (sigma' - sigma) (x - D) / sigma. Karras et al. 2022, algorithm 2, uncorrected."""
    return descend(_euler_step, denoise, x, sigmas, run)


@sampler("Euler a", ensd=True, eta=1.0)
def euler_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Euler, ancestral; `eta` 0 equals Euler."""
    return descend_ancestrally(_euler_step, denoise, x, sigmas, run)


def _euler_step(denoise: Denoise, x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    del denoise
    return toward(x, clean, sigma, following)
