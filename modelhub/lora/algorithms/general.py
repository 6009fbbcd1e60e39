"""GLoRA: a low-rank sum and a low-rank product with the weight itself (Chavan et al. 2023, arXiv:2306.07967)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.catalog.adapter_shapes import glora_is_new
from modelhub.catalog.match import Shape
from modelhub.lora.algorithms.fits import Shapes, Unfit, need, product
from modelhub.lora.algorithms.low_rank import LowRank
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch


@algorithm("glora")
class General(Change):
    """alpha / rank · (W A + B), A and B products of thin matrices: A mixes the inputs, at each place of a kernel alike.

    Files of LyCORIS before 2 have A = a2 @ a1 and B = b2 @ b1, with a1 [r, in]; newer ones A = a1 @ a2 and B = b1 @ b2,
    with a1 [in, r], and may have a core `bm` for the kernel of B.
    """

    known = frozenset({"a1", "a2", "b1", "b2", "bm"})
    needs_weight = True
    decomposes = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        parts = given.parts
        first, second = _order({name: tuple(value.shape) for name, value in parts.items()})
        self._into, self._out = parts["a" + first].flatten(1), parts["a" + second].flatten(1)
        factors = {"a": parts["b" + second], "b": parts["b" + first]}
        if "bm" in parts:
            factors["mid"] = parts["bm"]
        numbers = {name: parts[name] for name in ("alpha", "scalar") if name in parts}
        self._sum = LowRank(Given({**factors, **numbers}, given.shape, given.settings, given.name), weight)
        self._scale = given.scale(self._out.shape[0])

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """B must be the layer's; A is square, of its inputs."""
        for name in ("a1", "a2", "b1", "b2"):
            need(shapes, name)
        first, second = _order(shapes)
        factors = {"a": shapes["b" + second], "b": shapes["b" + first]}
        LowRank.fit({**factors, **({"mid": shapes["bm"]} if "bm" in shapes else {})}, shape)
        inputs = shape[1] if len(shape) > 1 else 1
        square = product(shapes, "a" + first, "a" + second)
        if square != (inputs, inputs):
            raise Unfit(f"mixes {square[0]} x {square[1]} inputs, the layer {list(shape)} has {inputs}")

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """A few rows of B, and the same rows of W with their inputs mixed."""
        assert weight is not None
        inputs = self._into.shape[0]
        places = weight.reshape(weight.shape[0], inputs, -1).transpose(1, 2)
        mixed = ((places @ self._into.to(weight)) @ self._out.to(weight)).transpose(1, 2)
        return self._sum.rows(start, stop, None) + mixed.reshape(weight.shape) * self._scale


def _order(shapes: Shapes) -> tuple[str, str]:
    """The numbers of the factor with the rank at its end, and of that with the rank in front."""
    return ("1", "2") if glora_is_new(shapes) else ("2", "1")
