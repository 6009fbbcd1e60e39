"""Renamed adapters as a view: tensors of a source under other names and in other shapes, and some that are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.formats.header import Header
from modelhub.formats.source import Place, Record, TensorSource, torch_dtype

if TYPE_CHECKING:
    import torch


class Entry(NamedTuple):
    """A tensor of the view: all bytes of `origin` in the source, or what `make` returns, stored as `dtype`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    origin: str = ""
    make: Callable[[], torch.Tensor] | None = None


class Renamed(TensorSource):
    """The entries over `source`. One tensor at a time is made; closing the view closes the source."""

    def __init__(self, source: TensorSource, entries: Iterable[Entry], metadata: Mapping[str, str]) -> None:
        self._source = source
        self._entries = {entry.name: entry for entry in entries}
        rows = ((entry.name, entry.dtype, entry.shape) for entry in self._entries.values())
        self.header = Header.of(rows, metadata)
        self._lock = threading.Lock()
        self._made: tuple[str, memoryview] = ("", memoryview(b""))

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of the origin, or of what is made. Raises what the source raises, NotFoundError if unknown."""
        self.within(name, offset, len(buffer))
        entry = self._entries[name]
        if entry.make is None:
            self._source.read_into(entry.origin, offset, buffer)
            return
        with self._lock:
            if self._made[0] != name:
                self._made = name, _bytes(entry)
            buffer[:] = self._made[1][offset : offset + len(buffer)]

    def grain(self, name: str) -> int:
        """All of a tensor that is made."""
        return max(1, self.info(name).nbytes) if self._entries[name].make else super().grain(name)

    def place(self, name: str) -> Place | None:
        """Where the source has it."""
        self.info(name)
        entry = self._entries[name]
        return None if entry.make else self._source.place(entry.origin)

    def crc32(self, name: str) -> int | None:
        """What the source knows."""
        self.info(name)
        entry = self._entries[name]
        return None if entry.make else self._source.crc32(entry.origin)

    def records(self, name: str) -> tuple[Record, ...]:
        """What the source keeps of a tensor that stays."""
        self.info(name)
        entry = self._entries[name]
        return () if entry.make else self._source.records(entry.origin)

    def file_of(self, name: str) -> Path | None:
        """The file that a tensor which stays is read from."""
        self.info(name)
        entry = self._entries[name]
        return None if entry.make else self._source.file_of(entry.origin)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _bytes(entry: Entry) -> memoryview:
    import torch

    assert entry.make is not None
    with torch.inference_mode():
        made = entry.make().to(torch_dtype(entry.dtype)).reshape(-1).contiguous()
        return memoryview(made.clone().view(torch.uint8).numpy().tobytes())
