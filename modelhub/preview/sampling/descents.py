"""The way down of samplers that differ in how they step alone: with churn, or ancestral."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run
from modelhub.preview.sampling.steps import ancestral, churned, walk

#: (denoise, x, clean latents in it, sigma, next sigma) -> x at the next sigma, without fresh noise.
Move = Callable[[Denoise, Tensor, Tensor, float, float], Tensor]


def descend(move: Move, denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Steps from one sigma to the next, each with the churn that is asked for before it."""
    for index, sigma, following in walk(sigmas):
        x, raised = churned(x, sigma, len(sigmas) - 1, run)
        clean = denoise(x, raised)
        x = move(denoise, x, clean, raised, following)
        run.step(index, clean)
    return x


def descend_ancestrally(
    move: Move, denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run, *, noise: float = 1.0
) -> Tensor:
    """Steps down to a lower level than asked for, then fresh noise, times `noise`, up to it.

    With `eta` 0 there is no noise, and the steps are as long as asked for.
    """
    eta = run.eta()
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        down, scale, up = ancestral(sigma, following, eta, flow=run.levels.flow)
        x = move(denoise, x, clean, sigma, down)
        if following > 0 and eta > 0:
            x = x * scale + (noise * up) * run.noise()
        run.step(index, clean)
    return x
