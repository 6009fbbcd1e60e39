"""The bytes of a tensor as a file would have them, wherever and in whatever order its elements stand."""

from __future__ import annotations

from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.tensors import View

if TYPE_CHECKING:
    import numpy as np

#: Bytes of scattered elements that are held in memory at a time, as read and as gathered.
_BLOCK = 2**25
#: Who reads so much at a time will want what follows too.
_LONG = 2**16


def _is_turned(view: View) -> bool:
    """Whether neighbouring rows of a large tensor stand closer together than what is in one of them."""
    return view.nbytes > _BLOCK and view.strides[0] < max(view.strides)


class Gathering:
    """Reads tensors block after block; of a large turned one, what was gathered last is kept for the next block.

    Every block of a transposed matrix needs all of its storage: to gather each by itself reads it hundreds of times.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._view: View | None = None
        self._begin, self._data = 0, bytearray()

    def read(self, view: View, offset: int, buffer: memoryview) -> None:
        """As `read_view`; safe from several threads."""
        if len(buffer) < _LONG or not _is_turned(view) or view.is_plain:
            read_view(view, offset, buffer)
            return
        done = 0
        with self._lock:
            while done < len(buffer):
                self._gather(view, (offset + done) // _BLOCK * _BLOCK)
                found = memoryview(self._data)[offset + done - self._begin :][: len(buffer) - done]
                buffer[done : done + len(found)] = found
                done += len(found)

    def _gather(self, view: View, begin: int) -> None:
        if self._view is view and self._begin == begin:
            return
        self._view, self._begin, self._data = None, begin, bytearray(min(_BLOCK, view.nbytes - begin))
        read_view(view, begin, memoryview(self._data))
        self._view = view


def read_view(view: View, offset: int, buffer: memoryview) -> None:
    """Fill `buffer` with the bytes of the contiguous tensor from byte `offset` on; the range must lie inside.

    Raises FileError when the bytes cannot be had.
    """
    if view.is_plain:
        view.data.span().fill(view.begin + offset, buffer)
    else:
        _scattered(view, view.begin, view.shape, view.strides, offset, buffer)


def _scattered(
    view: View, begin: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, buffer: memoryview
) -> None:
    """Fill `buffer` row by row of the first dimension; rows larger than it, or than a block, are taken apart."""
    width = view.kind.width
    if not shape:
        shape, strides = (1,), (1,)
    row = prod(shape[1:]) * width
    apart = len(shape) > 1 and row > min(_BLOCK, len(buffer))
    step = 1 if apart else max(1, _BLOCK // row)
    first, last = offset // row, -(-(offset + len(buffer)) // row)
    for start in range(first, last, step):
        stop = min(start + step, last)
        low, high = max(start * row, offset), min(stop * row, offset + len(buffer))
        part = buffer[low - offset : high - offset]
        at = begin + start * strides[0] * width
        if apart:
            _scattered(view, at, shape[1:], strides[1:], low - start * row, part)
        else:
            found = _gathered(view, at, (stop - start, *shape[1:]), strides)
            part[:] = found[low - start * row : high - start * row]


def _gathered(view: View, begin: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> memoryview:
    """A block of the tensor in its own memory, as bytes."""
    import numpy as np

    # numpy copies whole numbers many times faster than bytes without a meaning
    out = np.empty(shape, dtype=np.dtype(f"{'V' if view.kind.width > 8 else 'u'}{view.kind.width}"))
    _fill(view.data.span(), begin, out, strides)
    flat = out.reshape(-1).view(np.uint8)
    if view.swap > 1:
        flat = np.ascontiguousarray(flat.reshape(-1, view.swap)[:, ::-1]).reshape(-1)
    return flat.data


def _fill(span: Span, begin: int, out: np.ndarray[Any, Any], strides: tuple[int, ...]) -> None:
    """Fill `out` from elements that stand `strides` apart; what spans too much is halved along its widest dimension."""
    import numpy as np

    width = out.dtype.itemsize
    reach = [(size - 1) * stride for size, stride in zip(out.shape, strides, strict=True)]
    if (sum(reach) + 1) * width > _BLOCK and max(reach) > 0:
        widest = reach.index(max(reach))
        half = out.shape[widest] // 2
        low, high = np.split(out, [half], axis=widest)
        _fill(span, begin, low, strides)
        _fill(span, begin + half * strides[widest] * width, high, strides)
        return
    data = bytearray((sum(reach) + 1) * width)
    span.fill(begin, memoryview(data))
    source = np.frombuffer(data, dtype=out.dtype)
    steps = [stride * width for stride in strides]
    out[...] = np.lib.stride_tricks.as_strided(source, shape=out.shape, strides=steps)
