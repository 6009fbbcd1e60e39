"""What the steps of many samplers have in common: pairs of sigmas, ancestral levels, churn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from modelhub.preview.sampling.sampler import Run

#: The most that churn may raise a level: by a factor of the square root of 2 (Karras et al. 2022, algorithm 2).
_MOST_CHURN = math.sqrt(2) - 1


def walk(sigmas: Tensor) -> Iterator[tuple[int, float, float]]:
    """(index, sigma, next sigma) of every step."""
    values: list[float] = sigmas.tolist()
    for index, (sigma, following) in enumerate(pairwise(values)):
        yield index, sigma, following


def toward(x: Tensor, clean: Tensor, sigma: float, following: float) -> Tensor:
    """The Euler step x + (sigma' - sigma) (x - clean) / sigma: along the line to what is seen."""
    return x + (x - clean) * ((following - sigma) / sigma)


def ancestral(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """(down, up): the level to step down to and the noise to add, so that down^2 + up^2 = following^2.

    up = min(sigma', eta sqrt(sigma'^2 (sigma^2 - sigma'^2) / sigma^2)): the step of DDPM (Ho et al. 2020) with the
    variance scale of DDIM (Song et al. 2021, section 4.1) in sigmas, as in k-diffusion.
    """
    up = min(following, eta * following * math.sqrt(max(0.0, sigma**2 - following**2)) / sigma)
    return math.sqrt(max(0.0, following**2 - up**2)), up


def flow_ancestral(sigma: float, following: float, eta: float) -> tuple[float, float, float]:
    """(down, scale, up): x at `down`, times `scale`, plus `up` times noise is x at `following` in a flow model.

    down = sigma' (1 + eta (sigma' / sigma - 1)), scale = (1 - sigma') / (1 - down), up^2 = sigma'^2 - (scale down)^2;
    `following` > 0. As in Forge and ComfyUI.
    """
    down = following * max(0.0, 1 + eta * (following / sigma - 1))
    scale = (1 - following) / (1 - down)
    return down, scale, math.sqrt(max(0.0, following**2 - (scale * down) ** 2))


def churned(x: Tensor, sigma: float, steps: int, run: Run) -> tuple[Tensor, float]:
    """x with noise added before a step, and the level that it then has (Karras et al. 2022, algorithm 2, lines 4-6).

    With churn at all, every step draws noise, also one outside of the range in which it is used.
    """
    tuning = run.tuning
    if tuning.churn <= 0:
        return x, sigma
    drawn = run.noise()
    if not tuning.churn_min <= sigma <= tuning.churn_max:
        return x, sigma
    raised = sigma * (1 + min(tuning.churn / steps, _MOST_CHURN))
    return x + drawn * (tuning.noise * math.sqrt(raised**2 - sigma**2)), raised
