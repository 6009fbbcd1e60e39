"""Steps that several methods share: weighted sums of inputs, powers, quotients where 0/0 has an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Kernels of torch end with a few elements that they compute in another way: no power is left at such an end.
_WHOLE_VECTORS = 64
#: The least magnitude of fp32.
_SMALLEST = 2.0**-149


def blend(models: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ wᵢ·xᵢ, computed as x₀·Σ wᵢ + Σ wᵢ·(xᵢ − x₀): where all inputs are the same and Σ wᵢ = 1, so is the result."""
    first, total = models[0], fsum(weights)
    chosen = [i for i, weight in enumerate(weights) if weight != 0]
    if len(chosen) == 1 and weights[chosen[0]] == 1:
        return models[chosen[0]].clone()
    result = first.clone() if abs(total - 1) < 1e-12 else first * total
    for model, weight in zip(models[1:], weights[1:], strict=True):
        if weight != 0:
            result.add_(model - first, alpha=weight)
    return result


def each_weight(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """The weight of each of `count` models: 1 for each where none are given. Raises ValueError for another count."""
    found = tuple(weights) or (1.0,) * count
    if len(found) != count:
        raise ValueError(f"{len(found)} weights for {count} models")
    return found


def shares(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """The weights divided by their sum; as they are where that is 0."""
    found = each_weight(weights, count)
    total = fsum(found)
    return tuple(weight / total for weight in found) if total else found


def power(values: Tensor, exponent: float) -> Tensor:
    """values ** exponent in a tensor of its own, the same whatever stands beside each of the `values` (which are ≥ 0).

    0 to the power of 0 is 1, and 0 to a negative power counts as 0.
    """
    import torch

    count = values.numel()
    padded = torch.zeros(-(-count // _WHOLE_VECTORS) * _WHOLE_VECTORS, dtype=values.dtype)
    padded[:count] = values.reshape(-1)
    if exponent < 0:
        zero = padded == 0
        return padded.pow_(exponent).masked_fill_(zero, 0)[:count].view(values.shape)
    return padded.pow_(exponent)[:count].view(values.shape)


def share_of(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole of magnitudes (0 ≤ part ≤ whole), 0 where both are 0; both are overwritten."""
    return part.div_(whole.clamp_(min=_SMALLEST))


def nothing_added(parameters: Mapping[str, Any]) -> int | None:
    """A `Pick`: with α = 0 the result is the first input."""
    return 0 if parameters["alpha"] == 0 else None


def one_of_two(parameters: Mapping[str, Any]) -> int | None:
    """A `Pick`: with α = 0 the result is the first input, with α = 1 the second."""
    return {0.0: 0, 1.0: 1}.get(parameters["alpha"])
