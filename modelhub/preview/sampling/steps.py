"""What the steps of many samplers have in common: pairs of sigmas, ancestral levels, churn.

Steps down are the same for both kinds of model: where x = clean + sigma noise and where, in a flow, x = (1 - sigma)
clean + sigma noise, the slope dx/dsigma is (x - clean) / sigma. Noise on the way up is not: in a flow it has to take
the place of some of the picture.
"""

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


def lifted(low: float, high: float, *, flow: bool) -> tuple[float, float]:
    """(scale, up): x at the level `low`, times `scale`, plus `up` times fresh noise is x at the level `high`.

    `scale` brings the picture in x to its part at `high`: 1, in a flow (1 - high) / (1 - low); at 1, which x can only
    stay at, there is none. `up` is what noise then lacks: up^2 = high^2 - (scale low)^2.
    """
    scale = (1 - high) / (1 - low) if flow and low < 1 else 1.0
    return scale, math.sqrt(max(0.0, high**2 - (scale * low) ** 2))


def ancestral(sigma: float, following: float, eta: float, *, flow: bool) -> tuple[float, float, float]:
    """(down, scale, up): the level to step down to, and how x is `lifted` from there to `following`.

    up = min(sigma', eta sqrt(sigma'^2 (sigma^2 - sigma'^2) / sigma^2)), down^2 = sigma'^2 - up^2: the step of DDPM (Ho
    et al. 2020) with the variance scale of DDIM (Song et al. 2021, section 4.1) in sigmas, as in k-diffusion. In a flow
    down = sigma' (1 + eta (sigma' / sigma - 1)), as in Forge and ComfyUI. With eta 1 and short steps both follow the
    reverse SDE.
    """
    if flow:
        down = following * max(0.0, 1 + eta * (following / sigma - 1))
        return down, *lifted(down, following, flow=True)
    up = min(following, eta * following * math.sqrt(max(0.0, sigma**2 - following**2)) / sigma)
    return math.sqrt(max(0.0, following**2 - up**2)), 1.0, up


def churned(x: Tensor, sigma: float, steps: int, run: Run) -> tuple[Tensor, float]:
    """x with noise added before a step, and the level that it then has (Karras et al. 2022, algorithm 2, lines 4-6).

    With churn at all, every step draws noise, also one outside of the range in which it is used. In a flow noise
    grows by the same factor against the picture, not by itself, so that sigma stays within 1.
    """
    tuning = run.tuning
    if tuning.churn <= 0:
        return x, sigma
    drawn = run.noise()
    if not tuning.churn_min <= sigma <= tuning.churn_max:
        return x, sigma
    factor = 1 + min(tuning.churn / steps, _MOST_CHURN)
    scale = 1 / (1 + (factor - 1) * sigma) if run.levels.flow else 1.0
    raised = sigma * factor * scale
    return x * scale + drawn * (tuning.noise * math.sqrt(raised**2 - (scale * sigma) ** 2)), raised
