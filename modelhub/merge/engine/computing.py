"""Compute the bytes of an expression: in fp32 (fp64 where an input is fp64), rounded once into the output's dtype.

A `native` method on inputs of the output's own 16-bit dtype does the same inside its kernel, and two to three times
faster; it puts its result where it is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.formats.rounding import Findings, count_not_finite, is_finite, store
from modelhub.formats.source import torch_dtype
from modelhub.formats.threads import one_thread
from modelhub.merge.engine.expression import Apply, Leaf, Node, applied, precise
from modelhub.merge.engine.scratch import SCRATCH

if TYPE_CHECKING:
    import torch

#: Bytes of the result per window of a native method: few enough for the caches, and as many as the writer asks for at a
#: time.
_BYTES = 512 * 1024


class Making:
    """How the bytes of one tensor are made: an expression, stored as `output`, the dtype of a header."""

    def __init__(self, node: Node, output: str) -> None:
        self.node, self.output = node, torch_dtype(output)
        self.numel, self._size = node.numel, self.output.itemsize
        native = isinstance(node, Apply) and node.native and node.dtypes == {output}
        self._native = node if native and output in ("F16", "BF16", "F32") and isinstance(node, Apply) else None
        self._rows = node.grid is not None
        self._cell = node.grid or _BYTES // self._size
        self._dtype = node.stored if isinstance(node, Leaf) and node.stored.itemsize > 1 else precise(node)

    @property
    def grain(self) -> int:
        """Bytes that are best made at once; see `TensorSource.grain`."""
        if any(one.method.scope == "tensor" or one.method.measure for one in applied(self.node)):
            return max(1, self.numel) * self._size
        return self._cell * self._size if self._rows else self._size

    def fill(self, start: int, buffer: memoryview) -> dict[int, Findings]:
        """Compute elements `start` onwards into `buffer`, which has whole elements, at least one.

        Returns what was not finite, by the first element of each window that has any; windows are the same whatever is
        asked for, and counted whole.
        """
        import torch

        out = torch.frombuffer(buffer, dtype=self.output)
        with torch.inference_mode():
            if torch.get_num_threads() == 1:
                return self._fill(start, len(buffer) // self._size, out)
            with one_thread():
                return self._fill(start, len(buffer) // self._size, out)

    def _fill(self, start: int, size: int, out: torch.Tensor) -> dict[int, Findings]:
        cell, stop = self._cell, start + size
        found: dict[int, Findings] = {}
        for low in range(start - start % cell, stop, cell):
            count = min(cell, self.numel - low)
            if low >= start and low + count <= stop:
                finding = self._window(low, count, out if count == size else out[low - start : low - start + count])
            else:
                finding = self._part(low, count, start, stop, out)
            if finding is not None:
                found[low] = finding
        return found

    def _part(self, low: int, count: int, start: int, stop: int, out: torch.Tensor) -> Findings | None:
        """A window of which only a part is asked for."""
        whole = out.new_empty(count)
        finding = self._window(low, count, whole)
        first, last = max(low, start), min(low + count, stop)
        out[first - start : last - start] = whole[first - low : last - low]
        return finding

    def _window(self, low: int, count: int, piece: torch.Tensor) -> Findings | None:
        """Compute one window of the grid into `piece`; what is not finite in it, if anything."""
        SCRATCH.restart()
        if self._native is None:
            found = store(self.node.lent(low, count, self._dtype), piece)
            return found if found.not_finite else None
        value = self._native.compute(low, (count,), self.output, lent=True, out=piece)
        if value is not piece:
            piece.copy_(value)
        if is_finite(piece):
            return None
        value = self.node.lent(low, count, self._dtype)  # once more, to tell what did not fit from what was not there
        return count_not_finite(value, piece)
