"""Middles of several models that their distances and angles decide on: model stock and the geometric median."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from typing import TYPE_CHECKING

from modelhub.merge.engine.blending import blend
from modelhub.merge.engine.measuring import gram
from modelhub.merge.registry import Windows, method, whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: How much less they must be, so that of two models, each of which is one, their mean is taken.
_EDGE = 1e-9
#: The median has been found when no weight moves by more than this.
_STILL = 1e-12


def _stock_share(windows: Windows) -> float:
    """t, from 0 to 1; 1 for tensors that have no angles, as they are not finite or have no elements."""
    inner = gram(windows, base=0)
    products = inner.tolist()
    pairs = list(combinations(range(len(products)), 2))
    if not pairs or not bool(inner.isfinite().all()):
        return 1.0
    cosine = sum(_cosine(products[i][j], products[i][i], products[j][j]) for i, j in pairs) / len(pairs)
    return len(products) * cosine / (1 + (len(products) - 1) * cosine) if cosine > 0 else 0.0


def _cosine(xy: float, xx: float, yy: float) -> float:
    lengths = sqrt(max(xx, 0.0)) * sqrt(max(yy, 0.0))
    return max(-1.0, min(1.0, xy / lengths)) if lengths else 0.0


@method("model-stock", "Model stock", least=3, measure=_stock_share)
def model_stock(base: Tensor, *models: Tensor, stats: float) -> Tensor:
    """(1 − t)·base + t·mean of Xᵢ, t = n·c / (1 + (n − 1)·c), c the mean cosine between the Xᵢ − base.

    For a few models fine-tuned from one base on the same thing: how far their differences agree tells how near the mean
    is to where many more of them would lead; where they do not agree, the base is kept. A model that is the base has
    cosine 0 with all others; where c ≤ 0, t = 0. A tensor that is not finite has the mean. Reads every model twice.

    Source: Jang et al., 2024, "Model Stock", arXiv:2403.19522; c is the mean over all pairs and for a whole tensor, in
    mergekit that of each model with the next, in sd-mecha also for each row.
    """
    return blend((base, *models), (1 - stats, *[stats / len(models)] * len(models)))


def _median_weights(windows: Windows, *, iterations: int) -> tuple[float, ...] | None:
    """The weight of each model in the median; None for tensors without elements."""
    import torch

    inner = gram(windows, base=0)
    if not inner.numel():
        return None
    products = torch.zeros(len(inner) + 1, len(inner) + 1, dtype=torch.float64)
    products[1:, 1:] = inner
    if not bool(products.isfinite().all()):
        return (1 / len(products),) * len(products)
    return median_weights(products, iterations)


def median_weights(products: torch.Tensor, iterations: int) -> tuple[float, ...]:
    """Weights of the points, given their n × n inner products in fp64, in the point with the least sum of distances."""
    import torch

    count = len(products)
    for i in range(count):
        if _is_median(products, i):
            return tuple(float(i == j) for j in range(count))
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    for _ in range(iterations):
        inverse = 1 / _distances(products, weights)
        before, weights = weights, inverse / inverse.sum()
        if float((weights - before).abs().max()) < _STILL:
            break
    return tuple(weights.tolist())


def _distances(products: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of each point from the weighted mean of all; never 0."""
    along = products @ weights
    squares = products.diagonal() - 2 * along + weights @ along
    return squares.clamp(min=1e-30 * float(products.diagonal().max())).sqrt()


def _is_median(products: torch.Tensor, i: int) -> bool:
    """Whether point `i` is the median: the unit vectors from it to the others sum to no more than points lie on it."""
    import torch

    own = products[i, i]
    from_it = products - products[i] - products[:, i : i + 1] + own
    lengths = from_it.diagonal().clamp(min=0).sqrt()
    others = lengths > 0
    units = torch.where(others, 1 / lengths, torch.zeros_like(lengths))
    pull = float(units @ from_it @ units)
    return pull < float((~others).sum()) ** 2 * (1 - _EDGE)


@method("geometric-median", "Geometric median", least=2, measure=_median_weights)
def geometric_median(
    *models: Tensor,
    iterations: int = whole(100, low=1, high=1000, help="how many steps to take towards it at most"),
    stats: Sequence[float] | None,
) -> Tensor:
    """The X with the least Σ |X − Xᵢ|.

    A mean that one odd model cannot draw far: it lies where most models are, for each tensor. Of two models, it is
    their mean; a tensor that is not finite has the mean, too. Reads every model twice: their inner products are all
    that its steps need.

    Source: Weiszfeld, 1937; as a merge, the "geometric_median" of sd-mecha. A model that is the median itself is found
    beforehand (Vardi and Zhang, 2000), as the steps come near such a one very slowly.
    """
    return blend(models, stats or [1 / len(models)] * len(models))
