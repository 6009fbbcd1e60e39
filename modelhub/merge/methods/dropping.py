"""Differences thinned out at random before they are merged (DARE), large values less often than small ones (DELLA)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from modelhub.merge.engine.blending import each_weight
from modelhub.merge.methods.tasks import ALPHA, NORMALIZE, WEIGHTS, elected, summed
from modelhub.merge.registry import Chance, Stretch, Windows, choice, flag, method, number, per_model, whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_DENSITY = "how much of each difference is kept; the rest is made up for"
_COMBINE = "how the differences are put together: their sum, or TIES' mean of those of the elected sign"
_SEED = "other numbers drop other weights"


def _base(parameters: Mapping[str, Any]) -> int | None:
    return 0 if parameters["alpha"] == 0 or parameters["density"] <= 0 else None


def _nothing_kept(parameters: Mapping[str, Any]) -> int | None:
    """With a wide enough window around it, even a density of 0 keeps something."""
    least = parameters["density"] + abs(parameters["epsilon"]) / 2
    return 0 if parameters["alpha"] == 0 or least <= 0 else None


def _combined(differences: Sequence[Tensor], weights: Sequence[float], combine: str, normalize: bool) -> Tensor:
    return elected(differences, weights) if combine == "ties" else summed(differences, weights, normalize)


@method("dare", "DARE", pick=_base)
def dare(
    base: Tensor,
    *models: Tensor,
    alpha: float = number(1.0, low=0, high=2, help=ALPHA),
    density: float = number(0.5, low=0, high=1, help=_DENSITY),
    combine: str = choice("sum", ("sum", "ties"), help=_COMBINE),
    weights: tuple[float, ...] = per_model(help=WEIGHTS),
    normalize: bool = flag(help=NORMALIZE),
    seed: int = whole(0, low=0, high=2**32, help=_SEED),
    chance: Chance,
) -> Tensor:
    """base + α·Σ wᵢ·mᵢ·(Xᵢ − base) / p, every mᵢ 1 with probability p (the density), else 0.

    Drops most of what each model learned at random, and makes the rest larger by as much: models of one base get in
    each other's way less. With density 1 it is task arithmetic. The same seed drops the same weights.

    Source: Yu et al., 2023, "Language models are super Mario", arXiv:2311.03099. mergekit makes up for what was dropped
    by the norm instead, sd-mecha counts what is dropped instead of what is kept.
    """
    differences = [model - base for model in models]
    for i, difference in enumerate(differences):
        if density < 1:
            difference.mul_(chance.uniform(i) < density).div_(density)
    return _combined(differences, each_weight(weights, len(models)), combine, normalize).mul_(alpha).add_(base)


def _keeping(difference: torch.Tensor, density: float, epsilon: float) -> torch.Tensor:
    """How likely each value is kept, by the rank of its magnitude in its row; (rows, columns), fp32."""
    import torch

    order = difference.abs().argsort(dim=1, stable=True)
    size = difference.shape[1]
    ranks = torch.arange(size, dtype=torch.float32) / max(1, size - 1) - 0.5 * (size > 1)
    likely = ranks.mul_(epsilon).add_(density).clamp_(0, 1)
    return torch.empty(difference.shape).scatter_(1, order, likely.expand(difference.shape))


def _of_vectors(windows: Windows, *, density: float, epsilon: float) -> tuple[torch.Tensor, ...] | None:
    """How likely each value of a vector is kept, for each model; None for tensors of more dimensions."""
    import torch

    if len(windows.shape) > 1 or not prod(windows.shape):
        return None
    parts = [[model - base for model in models] for base, *models in windows]
    wholes = (torch.cat(each).reshape(1, -1) for each in zip(*parts, strict=True))
    return tuple(_keeping(difference, density, epsilon)[0] for difference in wholes)


@method("della", "DELLA", scope="rows", measure=_of_vectors, pick=_nothing_kept)
def della(
    base: Tensor,
    *models: Tensor,
    alpha: float = number(1.0, low=0, high=2, help=ALPHA),
    density: float = number(0.5, low=0, high=1, help=_DENSITY),
    epsilon: float = number(0.2, low=0, high=1, help="by how much the largest value of a row is likelier kept"),
    combine: str = choice("ties", ("sum", "ties"), help=_COMBINE),
    weights: tuple[float, ...] = per_model(help=WEIGHTS),
    normalize: bool = flag(help=NORMALIZE),
    seed: int = whole(0, low=0, high=2**32, help=_SEED),
    chance: Chance,
    at: Stretch,
    stats: tuple[torch.Tensor, ...] | None,
) -> Tensor:
    """base + α·merged(mᵢ·(Xᵢ − base) / pᵢ), mᵢ 1 with probability pᵢ = density + ε·(rank − ½), rank of |d| from 0 to 1.

    DARE that drops small values rather than large ones: the values of each row (of dimension 0; a vector is one row)
    are ranked by magnitude, and the likeliness to be kept goes from density − ε/2 to density + ε/2. What is left is
    merged as in TIES, or summed. The same seed drops the same weights. Reads every model twice, but only vectors.

    Source: Deep et al., 2024, "DELLA-Merging", arXiv:2406.11617; mergekit's ε is half of the paper's.
    """
    differences = [model - base for model in models]
    for i, difference in enumerate(differences):
        if stats is not None:
            likely = stats[i][at.start : at.start + len(difference)]
        elif difference.numel():
            likely = _keeping(difference.flatten(1), density, epsilon).view(difference.shape)
        else:
            continue
        dropped = chance.uniform(i) >= likely
        difference.div_(likely).masked_fill_(dropped, 0)
    return _combined(differences, each_weight(weights, len(models)), combine, normalize).mul_(alpha).add_(base)
