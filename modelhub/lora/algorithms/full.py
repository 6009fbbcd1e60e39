"""Full differences and replaced weights, and those of norms: as they lie in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.catalog.match import Shape
from modelhub.lora.algorithms.fits import Shapes, Unfit, count, matrix
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch


@algorithm("diff")
class Full(Change):
    """`diff` is added to the weight, `diff_b` to the bias (LyCORIS `full`); `set` is what the weight becomes (ComfyUI).

    There is no rank and no alpha. At strength m a weight that is set lies at W + m · (set − W).
    """

    known = frozenset({"diff", "diff_b", "set"})
    decomposes = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        self.needs_weight = "set" in given.parts
        found = given.parts.get("set", given.parts.get("diff"))
        self._values = None if found is None else found.reshape(given.matrix)

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """The same matrix as the layer; a difference of a bias may come alone."""
        for name in ("diff", "set"):
            if name in shapes and matrix(name, shapes[name]) != matrix("the layer", shape):
                raise Unfit(f"has {name} {list(shapes[name])}, the layer is {list(shape)}")
        count(shapes, "diff_b", shape[0])

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """The same rows of the file, less those of the weight where they replace them."""
        import torch

        if self._values is None:
            return torch.zeros(stop - start, self.given.matrix[1])
        found = self._values[start:stop]
        return found if weight is None else found - weight


@algorithm("norm")
class Norm(Change):
    """`w` is added to the weight of a norm and `b` to its bias (LyCORIS)."""

    known = frozenset({"w", "b"})

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """One value for each channel."""
        if matrix("the layer", shape)[1] != 1:
            raise Unfit(f"is for a norm, the layer is {list(shape)}")
        count(shapes, "w", shape[0])
        count(shapes, "b", shape[0])

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """A few channels, as a column."""
        import torch

        found = self.given.parts.get("w")
        return torch.zeros(stop - start, 1) if found is None else found.reshape(-1, 1)[start:stop]

    def bias(self, before: torch.Tensor | None) -> torch.Tensor | None:
        """That of the norm."""
        found = self.given.parts.get("b")
        return super().bias(before) if found is None else found.reshape(-1)
