"""DoRA: the changed weight with rows, or columns, of learned norms (Liu et al. 2024, arXiv:2402.09353)."""

from __future__ import annotations

from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Literal

from modelhub.catalog.match import Shape
from modelhub.lora.algorithms.fits import Shapes, Unfit
from modelhub.lora.algorithms.registry import Change, Given

if TYPE_CHECKING:
    import torch

#: Elements of the weight that are read at once for the norms of its columns.
_WINDOW = 1024 * 1024


class Decomposed(Change):
    """V · d / ‖V‖ − W for V = W + ΔW, with ΔW of another algorithm at strength 1 and the learned norms d.

    `dora` [out, 1, ...] has a norm for each output, [1, in, ...] one for each input, over outputs and kernel (LyCORIS,
    OneTrainer); `magnitude`, of any shape, has them for the outputs, of an embedding for its columns (PEFT). ComfyUI
    divides by ‖W‖ instead on the output side; this follows LyCORIS and PEFT, where it was trained.
    """

    needs_weight = True

    def __init__(self, inner: Change) -> None:
        super().__init__(inner.given, inner.weight)
        self._inner = inner
        parts = inner.given.parts
        self._norms = parts.get("magnitude", parts.get("dora")).double().reshape(-1)  # type: ignore[union-attr]
        self._axis = axis(_shapes(inner.given), inner.given.shape)
        self._lock = Lock()
        self._columns: torch.Tensor | None = None

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """ΔW · f + W · (f − 1), f = d / ‖V‖: where nothing changes, nothing is added, to the last bit."""
        assert weight is not None
        added = self._added(start, stop, weight)
        if self._axis == "out":
            factor = _factors(self._norms[start:stop], (weight + added).double().norm(dim=1))[:, None]
        else:
            factor = self._column_factors()[None, :]
        return added * factor.to(weight.dtype) + weight * (factor - 1).to(weight.dtype)

    def bias(self, before: torch.Tensor | None) -> torch.Tensor | None:
        """That of the other algorithm."""
        return self._inner.bias(before)

    def _added(self, start: int, stop: int, weight: torch.Tensor) -> torch.Tensor:
        return self._inner.rows(start, stop, weight if self._inner.needs_weight else None)

    def _column_factors(self) -> torch.Tensor:
        """d / ‖V‖ for each column, from all rows, which are read once."""
        with self._lock:
            if self._columns is None:
                inputs = self._norms.shape[0]
                squares = self._squares().reshape(inputs, -1)
                factors = _factors(self._norms, squares.sum(dim=1).sqrt())
                self._columns = factors.repeat_interleave(squares.shape[1])
            return self._columns

    def _squares(self) -> torch.Tensor:
        """Sums of squares of the columns of V, a window of rows at a time."""
        import torch

        rows, columns = self.given.matrix
        step = type(self._inner).step(_shapes(self.given), self.given.shape)
        window = max(1, _WINDOW // max(1, columns) // step) * step
        found = torch.zeros(columns, dtype=torch.float64)
        for low in range(0, rows, window):
            weight = self.weight.rows(low, min(low + window, rows))
            found += (weight + self._added(low, low + weight.shape[0], weight)).double().square().sum(dim=0)
        return found


def axis(shapes: Shapes, shape: Shape) -> Literal["out", "in"]:
    """Whether norms of this shape are those of the outputs or of the inputs of a layer; raises Unfit for neither."""
    rows, inputs = shape[0], shape[1] if len(shape) > 1 else 1
    if "magnitude" in shapes:
        found: Literal["out", "in"] = "in" if "embedding_a" in shapes else "out"
        if prod(shapes["magnitude"]) != (inputs if found == "in" else rows):
            raise Unfit(f"has magnitudes {list(shapes['magnitude'])}, the layer is {list(shape)}")
        return found
    norms = shapes["dora"]
    if prod(norms) == rows and norms[:1] == (rows,):
        return "out"
    if prod(norms) == inputs and norms[:2] == (1, inputs):
        return "in"
    raise Unfit(f"has dora_scale {list(norms)}, the layer is {list(shape)}")


def _factors(wanted: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """wanted / norms; 1 where there is nothing to scale."""
    import torch

    return torch.where(norms > 0, wanted / norms, torch.ones_like(norms))


def _shapes(given: Given) -> dict[str, Shape]:
    return {name: tuple(part.shape) for name, part in given.parts.items()}
