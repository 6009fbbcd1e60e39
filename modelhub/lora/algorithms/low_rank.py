"""LoRA: the product of two thin matrices (Hu et al. 2021, arXiv:2106.09685), and LoCon, the same for convolutions."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from modelhub.lora.algorithms.fits import Shapes, Unfit, count, part, product
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch


@algorithm("lora")
class LowRank(Change):
    """alpha / rank · up @ down, with up `b` [out, r] and down `a` [r, in · kernel].

    With a core `mid` [r, r, kernel] (LyCORIS' Tucker form), a and b are 1 x 1: up @ (core contracted with down). Of an
    embedding PEFT keeps the factors of its transpose: `embedding_a` [r, tokens], `embedding_b` [width, r].
    """

    known = frozenset({"a", "b", "mid", "embedding_a", "embedding_b", "bias", "a_bias"})
    decomposes = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        down, up = _factors(given)
        self._scale = given.scale(up.shape[1])
        self._down, self._up = down, up * self._scale

    @classmethod
    def made(cls, shapes: Shapes) -> tuple[int, int]:
        """[out, in · kernel]."""
        if "embedding_a" in shapes:
            (rank, tokens), (width, same) = part(shapes, "embedding_a"), part(shapes, "embedding_b")
            if rank != same:
                raise Unfit(f"has embedding_a of rank {rank}, embedding_b of rank {same}")
            return tokens, width
        if "mid" not in shapes:
            return product(shapes, "b", "a")
        (rows, left), (right, columns) = part(shapes, "b"), part(shapes, "a")
        middle = shapes["mid"]
        if middle[:2] != (left, right):
            raise Unfit(f"has mid {list(middle)}, which does not fit ranks {left} and {right}")
        return rows, columns * prod(middle[2:])

    @classmethod
    def fit(cls, shapes: Shapes, shape: tuple[int, ...]) -> None:
        """Also for the biases of the factors."""
        super().fit(shapes, shape)
        count(shapes, "bias", shape[0])
        if "a_bias" in shapes and "a" in shapes:
            count(shapes, "a_bias", shapes["a"][0])

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """A few rows of up times all of down."""
        return self._up[start:stop] @ self._down

    def add(self, to: torch.Tensor, start: int, stop: int, weight: torch.Tensor | None, strength: float) -> None:
        """The product where it goes, without a tensor of its own."""
        if to.dtype == self._down.dtype == self._up.dtype:
            to.addmm_(self._up[start:stop], self._down, alpha=strength)
        else:
            super().add(to, start, stop, weight, strength)

    def bias(self, before: torch.Tensor | None) -> torch.Tensor | None:
        """up (down x + c) + d adds up @ c + d to the bias, with the scale of the weights (PEFT's `lora_bias`)."""
        parts, found = self.given.parts, super().bias(before)
        if "bias" in parts:
            added = parts["bias"].reshape(-1) * self._scale
            found = added if found is None else found + added
        if "a_bias" in parts and bool(parts["a_bias"].any()):
            added = self._up @ parts["a_bias"].reshape(-1)
            found = added if found is None else found + added
        return found


def _factors(given: Given) -> tuple[torch.Tensor, torch.Tensor]:
    """down [r, in · kernel] and up [out, r]."""
    parts = given.parts
    if "embedding_a" in parts:
        return parts["embedding_b"].flatten(1).mT, parts["embedding_a"].flatten(1).mT
    down, up = parts["a"].flatten(1), parts["b"].flatten(1)
    return (contracted(parts["mid"], down) if "mid" in parts else down), up


def contracted(core: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A core [r, s, kernel...] with its second side turned to the inputs by `right` [s, in]: [r, in · kernel]."""
    return (core.flatten(2).permute(0, 2, 1) @ right).permute(0, 2, 1).flatten(1)
