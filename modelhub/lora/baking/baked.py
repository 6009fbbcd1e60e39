"""Baked: a checkpoint with adapters added to its weights, as a view: computed where it is read, and rounded once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import read
from modelhub.formats.header import TensorInfo
from modelhub.formats.rounding import Findings, store
from modelhub.formats.source import TensorSource, element_size, torch_dtype, whole_elements
from modelhub.formats.threads import one_thread
from modelhub.formats.views import Changed
from modelhub.lora.baking.remarks import check
from modelhub.lora.baking.stack import Applied, Stack
from modelhub.lora.layers import Layers

if TYPE_CHECKING:
    import torch

#: Elements that are made at once.
_WINDOW = 128 * 1024


class Baked(Changed):
    """`source`, a checkpoint of plain weights that is `identity`, with `adapters` baked in; its header stays.

    Rows are computed on a grid that begins with the tensor, so that nothing depends on what is read when. Closing the
    view closes the source, not the adapters. Raises IncompatibleError for adapters that do not fit.
    """

    def __init__(self, source: TensorSource, identity: Identity, adapters: Sequence[Applied]) -> None:
        self.stack = Stack(Layers(source.header, identity), source.header, adapters, self._original)
        check(self.stack)
        super().__init__(source, self.stack.changed, source.header)
        self._lock = threading.Lock()
        self._found: dict[str, dict[int, Findings]] = {}

    @property
    def findings(self) -> dict[str, Findings]:
        """What was not finite in the tensors read so far, however often; complete once all of them were."""
        with self._lock:
            return {name: sum(found.values(), Findings()) for name, found in self._found.items()}

    def grain(self, name: str) -> int:
        """The rows that are computed together."""
        info = self.info(name)
        return self._cell(name, info) * _row(info) * element_size(info) if name in self._changed else 1

    def _original(self, tensor: str, start: int, stop: int) -> torch.Tensor:
        import torch

        rows = self._source.rows(tensor, start, stop)
        return rows if rows.dtype == torch.float64 else rows.float()

    def _cell(self, name: str, info: TensorInfo) -> int:
        """Rows of one window of the grid."""
        step = self.stack.step(name)
        return max(1, _WINDOW // _row(info) // step) * step

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        with one_thread():
            whole_elements(info, offset, buffer, lambda start, view: self._fill(name, info, start, view))

    def _fill(self, name: str, info: TensorInfo, start: int, view: memoryview) -> None:
        import torch

        out = torch.frombuffer(view, dtype=torch_dtype(info.dtype))
        row, cell, stop = _row(info), self._cell(name, info), start + out.numel()
        with torch.inference_mode():
            for low in range(start // (cell * row) * cell, -(-stop // row), cell):
                made = self.stack.rows(name, low, min(low + cell, info.shape[0])).reshape(-1)
                first, last = max(start, low * row), min(stop, low * row + made.numel())
                found = store(made[first - low * row : last - low * row], out[first - start : last - start])
                if found.not_finite:
                    with self._lock:
                        self._found.setdefault(name, {})[first] = found


def _row(info: TensorInfo) -> int:
    """Elements of one row."""
    return max(1, prod(info.shape[1:]))


def bake(parent: Parent, adapters: Sequence[Applied]) -> Baked:
    """A model of whatever format with adapters baked in: packed weights as floats, a folder as one file.

    The view is not to be closed: the parent's source stays the opener's. Raises what `catalog.plain.read` and `Baked`
    raise.
    """
    plain = read(parent)
    return Baked(plain.source, plain.identity, adapters)
