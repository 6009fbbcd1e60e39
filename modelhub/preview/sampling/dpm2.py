"""DPM-Solver of second order: the slope at a midpoint of the step, and its ancestral twin."""

from __future__ import annotations

import math

from torch import Tensor

from modelhub.preview.sampling.descents import descend, descend_ancestrally
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import toward


@sampler("DPM2", schedule="Karras", calls=2, discard=True, ensd=True, churn=True, noise=True)
def dpm_2(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, two model calls a step, the last to 0 with one. Lu et al. 2022, "DPM-Solver", and the churn of
    Karras et al. 2022, algorithm 2.
    """
    return descend(_midpoint_step, denoise, x, sigmas, run)


@sampler("DPM2 a", schedule="Karras", calls=2, discard=True, ensd=True, eta=1.0, noise=True)
def dpm_2_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """DPM2, ancestral; `eta` 0 equals DPM2."""
    return descend_ancestrally(_midpoint_step, denoise, x, sigmas, run, noise=run.tuning.noise)


def _midpoint_step(denoise: Denoise, x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    """x' = x + (sigma' - sigma) d at the level sqrt(sigma sigma'), where x is brought by an Euler step; Euler to 0."""
    if following == 0:
        return toward(x, clean, sigma, following)
    middle = math.sqrt(sigma * following)
    halfway = toward(x, clean, sigma, middle)
    return x + (halfway - denoise(halfway, middle)) * ((following - sigma) / middle)
