"""Scratch: buffers that a thread keeps and computes in, so that no window has to be allocated."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Windows that are kept whole because the next one may need a part of them again.
_KEPT = 8
#: Views of one buffer that are remembered; windows have few sizes.
_VIEWS = 32


class Slot:
    """One buffer, as tensors of whatever dtype and as bytes."""

    def __init__(self) -> None:
        self._size = 0
        self._views: dict[tuple[torch.dtype, int], torch.Tensor] = {}

    def tensor(self, dtype: torch.dtype, count: int) -> torch.Tensor:
        """`count` elements at its beginning, of whatever value."""
        found = self._views.get((dtype, count))
        return found if found is not None else self._viewed(dtype, count)

    def bytes(self, size: int) -> memoryview:
        """The first bytes of what `tensor` gave."""
        return self._bytes[:size]

    def _viewed(self, dtype: torch.dtype, count: int) -> torch.Tensor:
        import torch

        size = count * dtype.itemsize
        if size > self._size or len(self._views) >= _VIEWS:
            self._views.clear()
        if size > self._size:
            self._memory = torch.empty(size, dtype=torch.uint8)
            self._bytes, self._size = self._memory.numpy().data, size
        found = self._views[dtype, count] = self._memory[:size].view(dtype)
        return found


class Scratch(threading.local):
    """The buffers of the calling thread, taken one after another; all are free again after `restart`."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []
        self.taken = 0
        self._kept: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def restart(self, taken: int = 0) -> None:
        """Another window begins: what was taken for the last one, after the first so many, is not needed any more."""
        self.taken = taken

    def take(self) -> Slot:
        """A buffer that nobody else has until `restart`."""
        if self.taken == len(self._slots):
            self._slots.append(Slot())
        self.taken += 1
        return self._slots[self.taken - 1]

    def kept(self, key: Hashable) -> torch.Tensor | None:
        """What was kept under `key`, if it still is."""
        return self._kept.get(key)

    def keep(self, key: Hashable, value: torch.Tensor) -> None:
        """Keep a tensor for a while, in place of the oldest one that is kept."""
        self._kept[key] = value
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


#: That of each thread; it ends with the thread.
SCRATCH = Scratch()
