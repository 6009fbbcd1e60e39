"""Smooth add: a difference without its specks."""

from __future__ import annotations

from math import exp, fsum, prod
from typing import TYPE_CHECKING

from modelhub.merge.engine.blending import nothing_added
from modelhub.merge.registry import method, number

if TYPE_CHECKING:
    from torch import Tensor

#: Half the width of the Gaussian filter of σ = 1, beyond which less than a thousandth of it is left.
_RADIUS = 4
#: Numbers that are sorted at once.
_SLAB = 1 << 22


@method("smooth-add", "Smooth add", scope="tensor", pick=nothing_added)
def smooth_add(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(1.0, low=0, high=2, help="how much of the smoothed difference"),
) -> Tensor:
    """A + α·G(M(B − C)), M the median of the neighbours in all dimensions, G a Gaussian filter with σ = 1.

    Add difference without outliers: what stands out among its neighbours is taken for noise. Each element has its 3ⁿ
    neighbours (n dimensions) in the median, and 9 in each dimension in the filter; at the edges the tensor is
    mirrored. Very slow for convolutions, and works on whole tensors.

    Source: the "smoothAdd" of supermerger.
    """
    difference = b - c
    if difference.numel():
        difference = gaussian(median(difference))
    return difference.mul_(alpha).add_(a)


def median(values: Tensor) -> Tensor:
    """The median of the 3ⁿ neighbours of each element; those beyond an edge are the edge."""
    import torch

    if not values.dim():
        return values
    inner = [[_mirrored(size, step) for step in (-1, 0, 1)] for size in values.shape[1:]]
    rows = max(1, _SLAB // (prod(values.shape[1:]) * 3 ** values.dim()))
    result = torch.empty_like(values)
    nearby = [_mirrored(len(values), step) for step in (-1, 0, 1)]
    for low in range(0, len(values), rows):
        around = [values.index_select(0, each[low : low + rows]) for each in nearby]
        for axis, steps in enumerate(inner, 1):
            around = [each.index_select(axis, step) for each in around for step in steps]
        result[low : low + rows] = torch.stack(around, -1).median(dim=-1).values
    return result


def gaussian(values: Tensor) -> Tensor:
    """Filtered along each dimension in turn, in fp64, with σ = 1 and 9 elements."""
    import torch

    whole = fsum(exp(-step * step / 2) for step in range(-_RADIUS, _RADIUS + 1))
    result = values.double()
    for axis, size in enumerate(values.shape):
        filtered = torch.zeros_like(result)
        for step in range(-_RADIUS, _RADIUS + 1):
            filtered.add_(result.index_select(axis, _mirrored(size, step)), alpha=exp(-step * step / 2) / whole)
        result = filtered
    return result.to(values.dtype)


def _mirrored(size: int, step: int) -> Tensor:
    """The indices `step` further on along a dimension, mirrored at its edges (which are doubled)."""
    import torch

    place = (torch.arange(size) + step) % (2 * size)
    return torch.minimum(place, 2 * size - 1 - place)
