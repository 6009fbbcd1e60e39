"""LoKr: the Kronecker product of a small and a large matrix (Yeh et al. 2023, LyCORIS, arXiv:2309.14859)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelhub.lora.algorithms.fits import Shapes, part, product, tucker
from modelhub.lora.algorithms.low_rank import contracted
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch


@algorithm("lokr")
class Kronecker(Change):
    """alpha / rank · w1 ⊗ w2, with w1 [o1, i1] and w2 [o2, i2 · kernel], out = o1 · o2 and in = i1 · i2.

    Each is whole or a product: w1_a @ w1_b, w2_a @ w2_b, and with the core t2 [r, r, kernel] w2_a [r, o2] and w2_b
    [r, i2]. Where both are whole there is no rank and alpha is left out. (PEFT writes that too, but scales by its
    configuration: see `Network.outer`. LyCORIS 4.1 scales twice where it merges, but once where it trains.)
    """

    known = frozenset({"w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2"})
    decomposes = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        parts = {name: part.flatten(1) for name, part in given.parts.items() if name.startswith("w")}
        small = parts["w1"] if "w1" in parts else parts["w1_a"] @ parts["w1_b"]
        self._small, self._large = small * given.scale(_rank(given)), _large(parts, given.parts.get("t2"))

    @classmethod
    def made(cls, shapes: Shapes) -> tuple[int, int]:
        """[o1 · o2, i1 · i2 · kernel]."""
        small = part(shapes, "w1") if "w1" in shapes else product(shapes, "w1_a", "w1_b")
        if "w2" in shapes:
            large = part(shapes, "w2")
        elif "t2" in shapes:
            large = tucker(shapes, "t2", "w2_a", "w2_b")
        else:
            large = product(shapes, "w2_a", "w2_b")
        return small[0] * large[0], small[1] * large[1]

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """Row i of the product is row i // o2 of w1 times row i % o2 of w2."""
        import torch

        row = torch.arange(start, stop)
        size = self._large.shape[0]
        small, large = self._small[row // max(1, size)], self._large[row % max(1, size)]
        return (small[:, :, None] * large[:, None, :]).flatten(1)


def _large(parts: Mapping[str, torch.Tensor], core: torch.Tensor | None) -> torch.Tensor:
    """w2 [o2, i2 · kernel]: kernels lie innermost, so the product of matrices is that of convolutions."""
    if "w2" in parts:
        return parts["w2"]
    if core is not None:
        return parts["w2_a"].mT @ contracted(core, parts["w2_b"])
    return parts["w2_a"] @ parts["w2_b"]


def _rank(given: Given) -> int:
    """That of whichever factor is a product, of w1 first, as LyCORIS reads it; 0 if both are whole."""
    parts = given.parts
    for right, whole in (("w1_b", "w1"), ("w2_b", "w2")):
        if whole not in parts:
            return parts[right].shape[0]
    return 0
