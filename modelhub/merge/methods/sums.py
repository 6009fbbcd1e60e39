"""Weighted sums of two, three or any number of models: what most merges are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelhub.merge.engine.blending import blend, nothing_added, one_of_two, shares
from modelhub.merge.registry import method, number, per_model

if TYPE_CHECKING:
    from torch import Tensor


def _only_one(parameters: Mapping[str, Any]) -> int | None:
    chosen = [i for i, weight in enumerate(parameters["weights"]) if weight != 0]
    return chosen[0] if len(chosen) == 1 else None


def _end_of_twice(parameters: Mapping[str, Any]) -> int | None:
    if parameters["beta"] == 1:
        return 2
    return one_of_two(parameters) if parameters["beta"] == 0 else None


def _corner(parameters: Mapping[str, Any]) -> int | None:
    corners = {(0.0, 0.0): 0, (1.0, 0.0): 1, (0.0, 1.0): 2}
    return corners.get((parameters["alpha"], parameters["beta"]))


@method("weighted-sum", "Weighted sum", native=True, pick=one_of_two)
def weighted_sum(
    a: Tensor, b: Tensor, *, alpha: float = number(0.5, low=0, high=1, help="how much of B"), out: Tensor | None = None
) -> Tensor:
    """(1 − α)·A + α·B.

    Between two models: α = 0 is A, α = 1 is B. `lerp` computes in fp32 and rounds once, also for 16-bit tensors; both
    ends are exact.

    Source: the "Weighted sum" of AUTOMATIC1111's checkpoint merger, which computes in the dtype of the file and so
    rounds three times.
    """
    import torch

    return torch.lerp(a, b, alpha, out=out)


@method("average", "Average", least=2, pick=_only_one)
def average(
    *models: Tensor, weights: tuple[float, ...] = per_model(help="how much of each model; all the same if not given")
) -> Tensor:
    """Σ wᵢ·Xᵢ / Σ wᵢ.

    The middle of any number of models, in one step, so that nothing is rounded in between. What is the same in all
    models stays as it is. Weights that sum to 0 are used as they are, undivided.

    Source: the "linear" method of mergekit; "model soups" (Wortsman et al., 2022, arXiv:2203.05482).
    """
    return blend(models, shares(weights, len(models)))


@method("sum-twice", "Sum twice", pick=_end_of_twice, adds=True)
def sum_twice(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how much of B beside A"),
    beta: float = number(0.5, low=0, high=1, help="how much of C in the result"),
) -> Tensor:
    """(1 − β)·((1 − α)·A + α·B) + β·C.

    Two weighted sums, one after the other, rounded once.

    Source: the "sum Twice" of supermerger.
    """
    return a.lerp(b, alpha).lerp_(c, beta)


@method("triple-sum", "Triple sum", pick=_corner, adds=True)
def triple_sum(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = number(0.33, low=0, high=1, help="how much of B"),
    beta: float = number(0.33, low=0, high=1, help="how much of C"),
) -> Tensor:
    """(1 − α − β)·A + α·B + β·C.

    Between three models: A has what B and C leave.

    Source: the "Triple sum" of supermerger.
    """
    return blend((a, b, c), (1 - alpha - beta, alpha, beta))


@method("add", "Add", pick=nothing_added, adds=False)
def add(
    a: Tensor, b: Tensor, *, alpha: float = number(1.0, low=0, high=2, help="how much of B, which is a difference")
) -> Tensor:
    """A + α·B.

    Adds a difference that an earlier step made (`subtract`) to a model.

    Source: the "ModelMergeAdd" of ComfyUI, with a factor.
    """
    return a.add(b, alpha=alpha)
