"""Euler's method, and its ancestral twin."""

from __future__ import annotations

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import ancestral, churned, flow_ancestral, toward, walk


@sampler("Euler", churn=True, noise=True)
def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """First order: x' = x + (sigma' - sigma) (x - D) / sigma. Karras et al. 2022, algorithm 2, uncorrected."""
    for index, sigma, following in walk(sigmas):
        x, raised = churned(x, sigma, len(sigmas) - 1, run)
        clean = denoise(x, raised)
        x = toward(x, clean, raised, following)
        run.step(index, clean)
    return x


@sampler("Euler a", ensd=True, eta=1.0)
def euler_ancestral(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Euler down to a lower level than asked for, then fresh noise up to it; `eta` 0 adds none and equals Euler."""
    eta = run.eta()
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        down, scale, up = _levels(sigma, following, eta, run.levels.flow)
        x = toward(x, clean, sigma, down) * scale
        if following > 0 and eta > 0:
            x = x + up * run.noise()
        run.step(index, clean)
    return x


def _levels(sigma: float, following: float, eta: float, flow: bool) -> tuple[float, float, float]:
    """(down, scale, up) of `flow_ancestral`, for either kind of model and any next level."""
    if flow and following > 0:
        return flow_ancestral(sigma, following, eta)
    down, up = ancestral(sigma, following, eta)
    return down, 1.0, up
