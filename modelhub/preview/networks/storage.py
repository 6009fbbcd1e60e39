"""Weights where they stand: files mapped into memory, tensors as views of them, no byte copied."""

from __future__ import annotations

import mmap
import os
import warnings
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from modelhub.errors import CorruptFileError
from modelhub.formats.header import TensorInfo
from modelhub.formats.source import Place, TensorSource, torch_dtype
from modelhub.text import one_line


class MappedFile:
    """One file, mapped for reading; views of `bytes` keep the mapping, whoever closes or removes the file.

    A file that is renamed or deleted stays what it was. One that is cut short in place loses the pages beyond its end,
    and the system kills whatever looks there: so `check` is called before each use, and before each block of a network.
    """

    def __init__(self, descriptor: int, path: Path | None) -> None:
        self.path = path
        self._descriptor = os.dup(descriptor)
        weakref.finalize(self, os.close, self._descriptor)
        self._mark = self._now()
        self._map = mmap.mmap(self._descriptor, self._mark[0], access=mmap.ACCESS_READ)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "not writable": nothing ever writes to weights
            self.bytes = torch.frombuffer(self._map, dtype=torch.uint8)

    def _now(self) -> tuple[int, int]:
        """Size and time of the last change."""
        stat = os.fstat(self._descriptor)
        return stat.st_size, stat.st_mtime_ns

    def check(self) -> None:
        """Raise CorruptFileError if the file was written to since it was mapped."""
        try:
            same = self._now() == self._mark
        except OSError:  # a network disk that has it no more
            same = False
        if not same:
            what = "The file of this model" if self.path is None else one_line(str(self.path))
            raise CorruptFileError(f"{what} was changed while it was in use.", "Load the model again.")

    def view(self, offset: int, info: TensorInfo) -> Tensor | None:
        """The tensor whose bytes begin at `offset`, in place; None where they are not all there or begin askew."""
        dtype = torch_dtype(info.dtype)
        if offset % dtype.itemsize or offset + info.nbytes > len(self.bytes):
            return None
        return self.bytes[offset : offset + info.nbytes].view(dtype).view(info.shape)

    def holds(self, places: Sequence[int]) -> bool:
        """Whether any of these addresses, in order, is in it."""
        start = self.bytes.data_ptr()
        return bisect_left(places, start) < bisect_left(places, start + len(self.bytes))

    def ahead(self, offset: int, size: int) -> None:
        """Have the disk read a stretch while others compute."""
        start = offset - offset % mmap.PAGESIZE
        with suppress(AttributeError, OSError):  # advice; not every system takes it
            self._map.madvise(mmap.MADV_WILLNEED, start, size + offset - start)


class Mapper:
    """The files of one source, each mapped when its first tensor is asked for."""

    def __init__(self, source: TensorSource) -> None:
        self._source = source
        self._files: dict[int, MappedFile | None] = {}

    def view(self, name: str) -> Tensor | None:
        """The tensor `name` where it stands, not to be written to; None where it has to be read or made."""
        info, place = self._source.info(name), self._source.place(name)
        if place is None or info.nbytes == 0 or place.offset % torch_dtype(info.dtype).itemsize:
            return None
        file = self._file(name, place)
        found = file.view(place.offset, info) if file else None
        if file and found is not None:
            file.ahead(place.offset, info.nbytes)
        return found

    @property
    def files(self) -> tuple[MappedFile, ...]:
        """What was mapped so far."""
        return tuple(file for file in self._files.values() if file)

    def _file(self, name: str, place: Place) -> MappedFile | None:
        if place.descriptor not in self._files:
            self._files[place.descriptor] = _mapped(place.descriptor, self._source.file_of(name))
        return self._files[place.descriptor]


def _mapped(descriptor: int, path: Path | None) -> MappedFile | None:
    """None for what cannot be mapped: an empty file, a file system that maps nothing, no room for addresses."""
    try:
        return MappedFile(descriptor, path)
    except (OSError, ValueError):
        return None
