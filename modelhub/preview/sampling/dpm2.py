"""DPM-Solver of second order: the slope at a midpoint of the step, and its ancestral twin."""

from __future__ import annotations

import math

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import ancestral, churned, flow_ancestral, toward, walk


@sampler("DPM2", schedule="Karras", calls=2, discard=True, churn=True, noise=True)
def dpm_2(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, two model calls a step, the last to 0 with one. Lu et al. 2022, "DPM-Solver", and the churn of
    Karras et al. 2022, algorithm 2.
    """
    for index, sigma, following in walk(sigmas):
        x, raised = churned(x, sigma, len(sigmas) - 1, run)
        clean = denoise(x, raised)
        x = midpoint_step(denoise, x, clean, raised, following)
        run.step(index, clean)
    return x


@sampler("DPM2 a", schedule="Karras", calls=2, discard=True, ensd=True, eta=1.0, noise=True)
def dpm_2_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """DPM2 down to a lower level than asked for, then fresh noise up to it; `eta` 0 equals DPM2."""
    eta = run.eta()
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        if run.levels.flow and following > 0:
            down, scale, up = flow_ancestral(sigma, following, eta)
        else:
            (down, up), scale = ancestral(sigma, following, eta), 1.0
        x = midpoint_step(denoise, x, clean, sigma, down) * scale
        if following > 0 and eta > 0:
            x = x + (run.tuning.noise * up) * run.noise()
        run.step(index, clean)
    return x


def midpoint_step(denoise: Denoise, x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    """x' = x + (sigma' - sigma) d at the level sqrt(sigma sigma'), where x is brought by an Euler step; Euler to 0."""
    if following == 0:
        return toward(x, clean, sigma, following)
    middle = math.sqrt(sigma * following)
    halfway = toward(x, clean, sigma, middle)
    return x + (halfway - denoise(halfway, middle)) * ((following - sigma) / middle)
