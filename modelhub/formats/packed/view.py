"""A source whose packed tensors are plain floats, made window by window when they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from modelhub.formats.header import Header, TensorInfo
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Changed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: Elements that are made at once: 256 KiB of floats, which stay in the cache.
_WINDOW = 1 << 16


class Unpacking(ABC):
    """How the floats of one packed tensor are made.

    `shape` is that of the unpacked tensor, `step` the number of elements in a block that can be made by itself, at most
    65,536.
    """

    shape: tuple[int, ...]
    step: int

    @property
    def origin(self) -> Hashable:
        """What the floats are made of: where two of one class are equal, so are these; None where it is not told."""
        return None

    @abstractmethod
    def floats(self, start: int, stop: int) -> Floats:
        """Elements `start` to `stop`, counted through the flat tensor; both at the edges of blocks, or at the end.

        Reads what it needs from the file, so it may raise FileError. Safe from several threads.
        """


class Unpacked(Changed):
    """A source with some tensors unpacked: those named in `unpackings` are F32, the others are as they were.

    Nothing is read before a tensor is; memory is that of one window, whatever is asked for. Closing the view closes the
    source.
    """

    def __init__(self, source: TensorSource, unpackings: Mapping[str, Unpacking]) -> None:
        self._unpackings = dict(unpackings)
        tensors = source.header.tensors
        entries = (
            (name, "F32", self._unpackings[name].shape) if name in self._unpackings else (name, info.dtype, info.shape)
            for name, info in tensors.items()
        )
        super().__init__(source, self._unpackings, Header.of(entries, source.header.metadata))

    def _making(self, name: str) -> Hashable:
        made = self._unpackings[name].origin
        return None if made is None else (type(self._unpackings[name]).__name__, made)

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        _fill(self._unpackings[name], info.numel, offset, buffer)


def _fill(unpacking: Unpacking, numel: int, offset: int, buffer: memoryview) -> None:
    """Fill `buffer` from byte `offset` of the floats on, window by window."""
    import numpy as np

    if not len(buffer):
        return
    out = np.frombuffer(buffer, np.uint8)
    end, step = offset + len(out), unpacking.step
    last = min(-(-end // (4 * step)) * step, numel)
    window = _WINDOW // step * step
    for start in range(offset // (4 * step) * step, last, window):
        stop = min(start + window, last)
        made = unpacking.floats(start, stop).astype("<f4", copy=False).view(np.uint8)
        low, high = max(offset, 4 * start), min(end, 4 * stop)
        out[low - offset : high - offset] = made[low - 4 * start : high - 4 * start]
