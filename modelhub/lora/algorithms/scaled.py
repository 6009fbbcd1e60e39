"""IA3: outputs or inputs of a layer times learned factors (Liu et al. 2022, arXiv:2205.05638)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from modelhub.catalog.match import Shape
from modelhub.errors import CorruptFileError
from modelhub.lora.algorithms.fits import Shapes, Unfit, count, need
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm
from modelhub.text import brief

if TYPE_CHECKING:
    import torch


@algorithm("ia3")
class Scaled(Change):
    """W ∘ w: a value of w for each input where `on_input` is not 0, else for each output (LyCORIS; w starts at 0).

    The header does not tell the value of `on_input`: where it contradicts the number of factors, CorruptFileError.
    PEFT keeps `factor` l = w + 1, [out, 1] or [1, in], for convolutions [1, out or in, 1, 1], and scales the bias with
    the outputs. There is no rank and no alpha.
    """

    known = frozenset({"scale", "on_input", "factor"})
    needs_weight = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        parts = given.parts
        self._peft = "factor" in parts
        values = (parts["factor"].double() - 1 if self._peft else parts["scale"]).float().reshape(-1)
        self._by_input = _by_input(given)
        wanted = _inputs(given.shape) if self._by_input else given.shape[0]
        if values.numel() != wanted:
            raise CorruptFileError(
                f"{brief(given.name) or 'A module'} has {values.numel()} factors, not those of the side it names.",
                f"Its layer is {list(given.shape)}: fetch the file again, or leave this module out.",
            )
        self._values = _over_kernel(values, given) if self._by_input else values

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """Either side, where only the value of `on_input` tells which; of a PEFT convolution the side must show."""
        rows, inputs = shape[0], _inputs(shape)
        if "factor" not in shapes:
            need(shapes, "on_input")
            need(shapes, "scale")
            return count(shapes, "scale", rows, inputs)
        side = _side(shapes["factor"], shape)
        if side is None:
            raise Unfit(f"has factors {list(shapes['factor'])}, which may be those of the inputs or of the outputs")
        return count(shapes, "factor", rows if side == "out" else inputs)

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """The rows of the weight times their factors, or those of their columns."""
        assert weight is not None
        factors = self._values if self._by_input else self._values[start:stop, None]
        return weight * factors

    def bias(self, before: torch.Tensor | None) -> torch.Tensor | None:
        """Only PEFT scales it, where it scales outputs."""
        if self._peft and not self._by_input and before is not None:
            return before.reshape(-1) * self._values
        return super().bias(before)


def _by_input(given: Given) -> bool:
    if "factor" in given.parts:
        return _side(tuple(given.parts["factor"].shape), given.shape) == "in"
    return bool(given.parts["on_input"].any())


def _inputs(shape: Shape) -> int:
    return shape[1] if len(shape) > 1 else 1


def _side(factor: Shape, shape: Shape) -> str | None:
    """Which side a factor of PEFT scales: its shape tells it, but for convolutions, only where their sizes differ."""
    if len(factor) == 2 and len(shape) == 2:
        return "out" if factor[1] == 1 else "in"
    if shape[0] == _inputs(shape):
        return None
    return "out" if prod(factor) == shape[0] else "in"


def _over_kernel(values: torch.Tensor, given: Given) -> torch.Tensor:
    """A value for each input, for each column."""
    return values.repeat_interleave(given.matrix[1] // max(1, _inputs(given.shape)))
