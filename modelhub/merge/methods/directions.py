"""Models as vectors: turning from one to another, and the part of a difference that another one has not."""

from __future__ import annotations

from math import acos, isfinite, sin, sqrt
from typing import TYPE_CHECKING

from modelhub.merge.engine.blending import blend, nothing_added, one_of_two, power
from modelhub.merge.engine.measuring import gram
from modelhub.merge.registry import Windows, method, number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Of two lengths, the shorter is nothing if the other is more than so many times as long: fp32 holds no such quotient.
_NO_LENGTH = 1e30
#: Sine of an angle below which two directions are one, or opposite: between those there is no arc to go along.
_NO_ANGLE = 1e-6


def _slerp_weights(windows: Windows, *, alpha: float) -> tuple[float, float]:
    """The weights of A and B."""
    plain = 1 - alpha, alpha
    products = gram(windows).tolist()
    if not products:
        return plain
    (aa, ab), (_, bb) = products
    length_a, length_b = sqrt(max(aa, 0.0)), sqrt(max(bb, 0.0))
    if not length_a * length_b or not isfinite(length_a * length_b + ab):
        return plain
    angle = acos(max(-1.0, min(1.0, ab / (length_a * length_b))))
    if sin(angle) < _NO_ANGLE or max(length_a, length_b) > _NO_LENGTH * min(length_a, length_b):
        return plain
    scale = ((1 - alpha) * length_a + alpha * length_b) / sin(angle)
    return sin((1 - alpha) * angle) * scale / length_a, sin(alpha * angle) * scale / length_b


@method("slerp", "Slerp", measure=_slerp_weights, pick=one_of_two)
def slerp(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how far from A to B"),
    stats: tuple[float, float],
) -> Tensor:
    """(sin((1 − α)·ω)·A/|A| + sin(α·ω)·B/|B|) / sin ω · ((1 − α)·|A| + α·|B|), ω the angle between A and B.

    Goes from A to B along an arc instead of a line, so that the norm of a tensor does not shrink on the way; of models
    with a common ancestor the angles are small, and it is all but a weighted sum. It is one where a norm is 0, or next
    to it beside the other, or not finite, and where A and B have the same or opposite directions. Reads every model
    twice.

    Source: Shoemake, 1985; as a merge, the "slerp" of sd-mecha. mergekit's keeps the norms of A and B in the sum
    instead, and is a weighted sum from a cosine of 0.9995 on.
    """
    return blend((a, b), stats)


def _overlap(windows: Windows) -> float:
    """⟨x, y⟩ / |x|², 0 where x is nothing beside y."""
    products = gram(windows, base=2).tolist()
    if not products or not products[0][0]:
        return 0.0
    found = products[0][1] / products[0][0]
    return found if abs(found) <= _NO_LENGTH else 0.0  # NaN is not, either


@method("perpendicular", "Add perpendicular", measure=_overlap, pick=nothing_added)
def perpendicular(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(1.0, low=0, high=2, help="how much of it"),
    stats: float,
) -> Tensor:
    """A + α·(y − x·⟨x, y⟩ / |x|²), where x = A − C and y = B − C.

    Add difference without what A has learned already: only the part of B − C at right angles to A − C. Where A and C
    are the same, or all but the same beside B − C, there is nothing to take away, and it is add difference. Reads every
    model twice.

    Source: the "add_perpendicular" of sd-mecha.
    """
    new = (b - c).sub_(a - c, alpha=stats)
    return new.mul_(alpha).add_(a)


def _vector_cosine(windows: Windows) -> torch.Tensor | None:
    """The cosine of a whole vector's differences, 1 element in fp64; None for tensors of more dimensions."""
    import torch

    if len(windows.shape) > 1:
        return None
    products = gram(windows, base=0)
    if not products.numel():
        return torch.zeros(1, dtype=torch.float64)
    return _cosine(products[0, 1], products[0, 0], products[1, 1]).reshape(1)


def _cosine(xy: Tensor, xx: Tensor, yy: Tensor) -> Tensor:
    return (xy / (xx * yy).sqrt()).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)


def _row_cosine(x: Tensor, y: Tensor) -> Tensor:
    """The cosine along the last dimension, which is kept with size 1, in fp64."""
    x, y = x.double(), y.double()
    return _cosine((x * y).sum(-1, keepdim=True), (x * x).sum(-1, keepdim=True), (y * y).sum(-1, keepdim=True))


@method("extract", "Extract", scope="rows", measure=_vector_cosine)
def extract(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how much of C − A beside B − A"),
    beta: float = number(0.0, low=0, high=1, help="0 takes what B and C have in common, 1 what they have not"),
    gamma: float = number(1.0, low=0, high=10, help="how sharply it is told apart"),
    stats: torch.Tensor | None,
) -> Tensor:
    """A + ((1 − α)·x + α·y)·((1 − β)·d + β·(1 − d)), x = B − A, y = C − A, d = ((cos(x, y) + 1) / 2)^γ.

    Gives A what two models that were trained from it have both learned (β = 0), or what only one of them has (β = 1,
    "dissimilarity"). The cosine is that of the last dimension: of each row of a matrix, of a whole vector. Where one of
    them is A (0/0), it counts as 0. Reads every model twice, but only vectors.

    Source: the "extract" of supermerger.
    """
    x, y = b - a, c - a
    cosine = _row_cosine(x, y) if stats is None else stats
    similar = power(cosine.add(1).mul_(0.5), gamma)
    share = similar.lerp_(1 - similar, beta).to(a.dtype)
    return x.lerp_(y, alpha).mul_(share).add_(a)
