"""Tasks: what several models learned on top of one base, added up, or elected sign by sign (TIES)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, prod
from typing import TYPE_CHECKING, Any

from modelhub.merge.engine.blending import each_weight, nothing_added
from modelhub.merge.engine.ranking import kth_magnitudes
from modelhub.merge.registry import Windows, choice, flag, method, number, per_model

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "how much of each model's difference; 1 for each if not given"
ALPHA = "how much of the merged difference"
NORMALIZE = "divide the sum by the sum of the weights"


@method("task-arithmetic", "Task arithmetic", pick=nothing_added)
def task_arithmetic(
    base: Tensor,
    *models: Tensor,
    alpha: float = number(1.0, low=0, high=2, help=ALPHA),
    weights: tuple[float, ...] = per_model(help=WEIGHTS),
    normalize: bool = flag(help=NORMALIZE),
) -> Tensor:
    """base + α·Σ wᵢ·(Xᵢ − base), divided by Σ wᵢ if `normalize` is on.

    Add difference for any number of models that were trained from one base; a negative weight makes the result forget.
    Weights that sum to 0 are not divided by.

    Source: Ilharco et al., 2022, "Editing models with task arithmetic", arXiv:2212.04089.
    """
    differences = [model - base for model in models]
    return summed(differences, each_weight(weights, len(models)), normalize).mul_(alpha).add_(base)


def summed(differences: Sequence[Tensor], weights: Sequence[float], normalize: bool) -> Tensor:
    """Σ wᵢ·dᵢ, or that divided by Σ wᵢ; the first difference is overwritten."""
    total = fsum(weights) if normalize else 1.0
    result = differences[0].mul_(weights[0] / (total or 1))
    for difference, weight in zip(differences[1:], weights[1:], strict=True):
        result.add_(difference, alpha=weight / (total or 1))
    return result


def elected(differences: Sequence[Tensor], weights: Sequence[float], sign: str = "sum") -> Tensor:
    """Σ wᵢ·dᵢ / Σ |wᵢ| over those of the sign that is elected: that of Σ wᵢ·dᵢ, or of the count of signs.

    0 where no sign wins. The differences are overwritten.
    """
    import torch

    votes, total, share = (torch.zeros_like(differences[0]) for _ in range(3))
    for difference, weight in zip(differences, weights, strict=True):
        votes += difference.mul_(weight) if sign == "sum" else difference.mul_(weight).sign()
    votes = votes.sign_()
    for difference, weight in zip(differences, weights, strict=True):
        agreeing = difference.mul_(votes).clamp_(min=0)
        total += agreeing
        share.add_(agreeing.sign_(), alpha=abs(weight))
    return total.mul_(votes).div_(share.clamp_(min=torch.finfo(share.dtype).tiny))


def _trimmed(difference: Tensor, least: float) -> Tensor:
    """The difference without what is smaller than `least`."""
    import torch

    if least == 0:
        return difference
    bound = torch.tensor(least, dtype=difference.dtype)
    return torch.nn.functional.hardshrink(difference, float(bound.nextafter(torch.zeros_like(bound))))


def _thresholds(windows: Windows, *, density: float) -> tuple[float, ...] | None:
    """The least magnitude that each difference keeps; None where all is kept."""
    if density >= 1 or 0 in windows.shape:
        return None
    kept = max(1, round(density * prod(windows.shape)))
    return kth_magnitudes(windows, kept, base=0)


def _base(parameters: Mapping[str, Any]) -> int | None:
    return 0 if parameters["alpha"] == 0 or parameters["density"] <= 0 else None


@method("ties", "TIES", measure=_thresholds, rounds=2, pick=_base)
def ties(
    base: Tensor,
    *models: Tensor,
    alpha: float = number(1.0, low=0, high=2, help=ALPHA),
    density: float = number(0.2, low=0, high=1, help="how much of each difference is kept, the largest of it"),
    sign: str = choice("sum", ("sum", "count"), help="what elects a sign: the sum of the values, or their number"),
    weights: tuple[float, ...] = per_model(help=WEIGHTS),
    stats: tuple[float, ...] | None,
) -> Tensor:
    """base + α·mean of those dᵢ = top(Xᵢ − base) whose sign is that of Σ wᵢ·dᵢ.

    Merges many models of one base without letting them cancel each other: of every difference only the largest values
    are kept (`density` of them, for each tensor), a sign is elected for each weight, and those that have it are
    averaged. Values as large as the smallest that is kept are kept too; where no sign wins, the base stays. Reads every
    model three times, to find what to keep without holding a tensor.

    Source: Yadav et al., 2023, "TIES-Merging", arXiv:2306.01708; sd-mecha elects by count if not told otherwise.
    """
    differences = [model - base for model in models]
    if stats is not None:
        differences = [_trimmed(each, least) for each, least in zip(differences, stats, strict=True)]
    return elected(differences, each_weight(weights, len(models)), sign).mul_(alpha).add_(base)
