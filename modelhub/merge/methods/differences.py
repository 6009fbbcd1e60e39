"""Differences of two models, and a third model that they are added to, element by element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelhub.merge.engine.blending import nothing_added, power, share_of
from modelhub.merge.registry import method, number

if TYPE_CHECKING:
    from torch import Tensor

#: What supermerger multiplies α by in "trainDifference", for a result about as strong as add-difference.
_TRAINED = 1.8


def _sent_whole(parameters: Mapping[str, Any]) -> int | None:
    ends = {(0.0, 0.0): 0, (1.0, 1.0): 1}
    return ends.get((parameters["alpha"], parameters["beta"]))


@method("add-difference", "Add difference", pick=nothing_added)
def add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(1.0, low=0, high=2, help="how much of the difference B − C"),
    out: Tensor | None = None,
) -> Tensor:
    """A + α·(B − C).

    Gives A what B learned on top of C: C is the model that B was trained from.

    Source: the "Add difference" of AUTOMATIC1111's checkpoint merger; task arithmetic with one task (Ilharco et al.,
    2022, arXiv:2212.04089).
    """
    import torch

    return torch.sub(b, c, out=out).mul_(alpha).add_(a)


@method("add-difference-clamped", "Add difference, clamped", pick=nothing_added)
def add_difference_clamped(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(1.0, low=0, high=2, help="how much of the difference B − C"),
) -> Tensor:
    """A + α·(B − C), but never below both A and B, nor above both.

    Add difference that cannot overshoot: where A has learned the same as B already, it is not added a second time. For
    other bounds, use `clamp` on the result.

    Source: the "weights_clip" option of meh.
    """
    import torch

    result = (b - c).mul_(alpha).add_(a)
    return result.clamp_(torch.minimum(a, b), torch.maximum(a, b))


@method("subtract", "Subtract", adds=False, delta=True)
def subtract(
    a: Tensor, b: Tensor, *, alpha: float = number(1.0, low=0, high=2, help="what the difference is multiplied by")
) -> Tensor:
    """α·(A − B).

    The difference itself, for a later step: it is no model. What is the same in both is 0.

    Source: the "ModelMergeSubtract" of ComfyUI.
    """
    return (a - b).mul_(alpha)


@method("train-difference", "Train difference", pick=nothing_added)
def train_difference(
    a: Tensor, b: Tensor, c: Tensor, *, alpha: float = number(1.0, low=0, high=2, help="how much of the difference")
) -> Tensor:
    """A + 1.8·α·s·(B − C), where s = |B − A| / (|B − C| + |B − A|).

    Add difference as if A had been trained further: the nearer a weight of A is to B already, the less is added. Where
    A, B and C are the same (0/0), nothing is added.

    Source: the "trainDifference" of supermerger, which also leaves a tensor out whose B and C are the same: it has
    nothing to add.
    """
    difference = b - c
    distance = (b - a).abs_()
    scale = share_of(distance, difference.abs().add_(distance))
    return difference.mul_(scale).mul_(_TRAINED * alpha).add_(a)


@method("add-opposite", "Add opposite", pick=nothing_added)
def add_opposite(
    a: Tensor, b: Tensor, c: Tensor, *, alpha: float = number(1.0, low=0, high=2, help="how much of the difference")
) -> Tensor:
    """A + 2·α·s·(B − C), where s = |A − B| / (|A − B| + |A + B − 2·C|).

    Add difference where A and B went apart from C in opposite directions; where both went the same way, less is added.
    Where all three are the same (0/0), nothing is.

    Source: the "add_opposite_mask" of sd-mecha.
    """
    difference = b - c
    apart = (a - b).abs_()
    scale = share_of(apart, (a - c).add_(difference).abs_().add_(apart))
    return difference.mul_(scale).mul_(2 * alpha).add_(a)


@method("similarity-difference", "Similarity difference", pick=nothing_added)
def similarity_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(1.0, low=0, high=1, help="how much of B, or of the difference B − C"),
    beta: float = number(1.0, low=0, high=1, help="how much similarity counts"),
) -> Tensor:
    """(1 − s)·(A + α·(B − C)) + s·((1 − α/2)·A + α/2·B), where s = β·(A·B / max(|A|, |B|)² + 1) / 2.

    Weights that A and B agree on are averaged, the others get the difference added. Where both are 0 (0/0), s = β.

    Source: the "similarity_add_difference" of meh.
    """
    import torch

    largest = torch.maximum(a.abs(), b.abs())
    similar = (a / largest).mul_(b / largest).add_(1).mul_(0.5)
    similar.masked_fill_(largest == 0, 1).mul_(beta)
    added = (b - c).mul_(alpha).add_(a)
    return added.lerp_(a.lerp(b, alpha / 2), similar)


@method("multiply-difference", "Multiply difference", pick=_sent_whole)
def multiply_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how much of the size of B − C beside that of A − C"),
    beta: float = number(0.5, low=0, high=1, help="how much of the sign of B − C beside that of A − C"),
) -> Tensor:
    """C ± |A − C|^(1 − α)·|B − C|^α, with the sign of (1 − β)·A + β·B − C.

    The geometric mean of two differences from C: what only one of A and B has learned counts little. 0 to the power of
    0 is 1, so both ends are whole differences; 0 to a negative power counts as 0.

    Source: the "multiply_difference" of meh.
    """
    import torch

    from_a, from_b = a - c, b - c
    sizes = power(from_a.abs(), 1 - alpha).mul_(power(from_b.abs(), alpha))
    return torch.copysign(sizes, from_a.lerp_(from_b, beta)).add_(c)
