"""Bounds: a model kept within what other models have."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from modelhub.merge.engine.blending import blend
from modelhub.merge.registry import method, number

if TYPE_CHECKING:
    from torch import Tensor


@method("clamp", "Clamp", least=3, adds=False)
def clamp(
    x: Tensor,
    *bounds: Tensor,
    stiffness: float = number(0.0, low=0, high=1, help="how far the bounds are drawn towards their mean"),
) -> Tensor:
    """min(max(X, lowest), highest), the lowest and highest of two or more other models, each weight for itself.

    Keeps the result of an earlier step between its parents, so that an added difference does not overshoot. With
    stiffness 1 the bounds meet at their mean.

    Source: the "clamp" of sd-mecha, "weights_clip" of meh; sd-mecha draws stiff bounds to the models next to the mean.
    """
    import torch

    lowest, highest = reduce(torch.minimum, bounds), reduce(torch.maximum, bounds)
    if stiffness:
        mean = blend(bounds, [1 / len(bounds)] * len(bounds))
        lowest, highest = lowest.lerp(mean, stiffness), highest.lerp(mean, stiffness)
    return torch.maximum(x, lowest).clamp_(max=highest)
