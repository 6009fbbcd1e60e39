"""LoHa: the elementwise product of two products of thin matrices (Hyeon-Woo et al. 2021, FedPara, arXiv:2108.06098)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.lora.algorithms.fits import Shapes, Unfit, product, tucker
from modelhub.lora.algorithms.low_rank import contracted
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch


@algorithm("loha")
class Hadamard(Change):
    """alpha / rank · (w1_a @ w1_b) ∘ (w2_a @ w2_b), with w_a [out, r] and w_b [r, in · kernel].

    With cores t1, t2 [r, r, kernel] the factors lie transposed: w_a [r, out], w_b [r, in]. LyCORIS 4.1 multiplies by
    alpha / rank twice where it merges, but once where it trains; this is what was trained.
    """

    known = frozenset({"w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2"})
    decomposes = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        left, self._right = _factors(given, "1")
        # Both products have the same rank in files of any known trainer.
        self._left = left * given.scale(given.parts["w1_b"].shape[0])
        self._other, self._another = _factors(given, "2")

    @classmethod
    def made(cls, shapes: Shapes) -> tuple[int, int]:
        """[out, in · kernel] of both products."""
        one, two = (_made(shapes, side) for side in "12")
        if one != two:
            raise Unfit(f"multiplies {one[0]} x {one[1]} and {two[0]} x {two[1]}")
        return one

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """A few rows of either product."""
        return (self._left[start:stop] @ self._right).mul_(self._other[start:stop] @ self._another)


def _made(shapes: Shapes, side: str) -> tuple[int, int]:
    if f"t{side}" in shapes:
        return tucker(shapes, f"t{side}", f"w{side}_a", f"w{side}_b")
    return product(shapes, f"w{side}_a", f"w{side}_b")


def _factors(given: Given, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """[out, r] and [r, in · kernel] of one of the products."""
    left, right = given.parts[f"w{side}_a"].flatten(1), given.parts[f"w{side}_b"].flatten(1)
    core = given.parts.get(f"t{side}")
    return (left, right) if core is None else (left.mT, contracted(core, right))
