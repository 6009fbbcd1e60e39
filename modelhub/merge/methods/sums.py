"""Weighted sum and add difference: the two methods that most merges are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.merge.registry import Number, method

if TYPE_CHECKING:
    from torch import Tensor


@method("weighted-sum", "Weighted sum", native=True)
def weighted_sum(a: Tensor, b: Tensor, *, alpha: float = Number(0.5, low=0, high=1, help="how much of B")) -> Tensor:
    """(1 − α)·A + α·B.

    Between two models: α = 0 is A, α = 1 is B. `lerp` computes in fp32 and rounds once, also for 16-bit tensors; both
    ends are exact. Source: the "Weighted sum" of AUTOMATIC1111's checkpoint merger.
    """
    return a.lerp(b, alpha)


@method("add-difference", "Add difference")
def add_difference(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = Number(1.0, low=0, high=2, help="how much of the difference B − C"),
) -> Tensor:
    """A + α·(B − C).

    Gives A what B learned on top of C: C is the model that B was trained from. Source: the "Add difference" of
    AUTOMATIC1111's checkpoint merger; task arithmetic with one task (Ilharco et al., 2022, arXiv:2212.04089).
    """
    return (b - c).mul_(alpha).add_(a)
