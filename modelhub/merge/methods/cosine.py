"""Cosine A and B: how alike two models are, column by column and over the whole model, decides how much of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelhub.merge.engine.measuring import column_products
from modelhub.merge.registry import Tensors, Windows, method, number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Percentiles that the similarities of the model are trimmed to.
_TRIM = 1, 99


def _quotient(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    return (above / below).nan_to_num(0.0, 0.0, 0.0)


def _column_cosines(windows: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """(s, c) of cosine A: s of each column, and (s + m)/2, m the cosine of the tensors of normalised columns."""
    import torch

    found = column_products(windows)
    if found is None:
        return torch.zeros(0, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    ab, aa, bb = found
    cosines = _quotient(ab, (aa * bb).sqrt())
    whole = _quotient(cosines.sum(), ((aa > 0).sum().double() * (bb > 0).sum()).sqrt())
    return cosines, (cosines + whole) / 2


def _plain_cosines(windows: Windows) -> torch.Tensor:
    """c of cosine B: (s + m)/2, m the cosine of the whole tensors."""
    import torch

    found = column_products(windows)
    if found is None:
        return torch.zeros((), dtype=torch.float64)
    ab, aa, bb = found
    whole = _quotient(ab.sum(), (aa.sum() * bb.sum()).sqrt())
    return (_quotient(ab, (aa * bb).sqrt()) + whole) / 2


def _similarity_a(windows: Windows) -> torch.Tensor:
    return _column_cosines(windows)[1]


def _range_a(tensors: Tensors) -> tuple[float, float]:
    return _range(_column_cosines(windows)[0] for _, windows in tensors)


def _range_b(tensors: Tensors) -> tuple[float, float]:
    return _range(_plain_cosines(windows) for _, windows in tensors if 0 not in windows.shape)


def _range(similarities: Iterable[torch.Tensor]) -> tuple[float, float]:
    """Smallest and largest of all, less the lowest hundredth, and less the highest of what is left."""
    import numpy as np

    found = np.concatenate([np.zeros(0), *(each.reshape(-1).numpy() for each in similarities)])
    if not len(found):
        return 0.0, 1.0
    found = found[found >= np.percentile(found, _TRIM[0], method="midpoint")]
    found = found[found <= np.percentile(found, _TRIM[1], method="midpoint")]
    return float(found.min()), float(found.max())


def _merged(a: Tensor, b: Tensor, similar: torch.Tensor, survey: tuple[float, float], less: float) -> Tensor:
    import torch

    low, high = survey
    place = (similar - low) / (high - low) if high > low else torch.ones_like(similar)
    return b.lerp(a, place.sub_(less).clamp_(0, 1).to(a.dtype))


@method("cosine-a", "Cosine A", scope="rows", measure=_similarity_a, survey=_range_a)
def cosine_a(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = number(0.0, low=0, high=1, help="how much is taken off A's share"),
    stats: torch.Tensor,
    survey: tuple[float, float],
) -> Tensor:
    """k·A + (1 − k)·B, k = (c − min S) / (max S − min S) − |α| within 0 … 1, c = (s + m) / 2.

    Keeps the structure of A where the models are alike, and takes the details of B where they are not. s is the cosine
    of a column (along dimension 0), m that of the tensors when all their columns have length 1, and S are all s of the
    model from the 1st to the 99th percentile. A column of zeros has s = 0; where all of S are the same, k is 1 − |α|.
    Reads every model three times. The VAE has no part in it, and is A's.

    Source: the "cosineA" of supermerger. sd-mecha's method of that name does not look at the whole model.
    """
    return _merged(a, b, stats, survey, abs(alpha))


@method("cosine-b", "Cosine B", scope="rows", measure=_plain_cosines, survey=_range_b)
def cosine_b(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = number(0.0, low=0, high=1, help="how much is taken off A's share"),
    stats: torch.Tensor,
    survey: tuple[float, float],
) -> Tensor:
    """k·A + (1 − k)·B, k = (c − min S) / (max S − min S) − α within 0 … 1, c = (s + m) / 2.

    As cosine A, but large columns count for more, which favours B's structure: m is the cosine of the tensors as they
    are, and S are all c of the model. A column of zeros has s = 0; where all of S are the same, k is 1 − α. Reads every
    model three times. The VAE has no part in it, and is A's.

    Source: the "cosineB" of supermerger. sd-mecha's method of that name does not look at the whole model.
    """
    return _merged(a, b, stats, survey, alpha)
