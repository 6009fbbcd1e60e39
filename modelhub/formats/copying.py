"""Bytes that stand in a file just as they will be written: copied by the kernel, never passing through this program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from modelhub.formats.source import Place, TensorSource

#: Bytes per call: few enough that a job which is cancelled stops soon.
CHUNK = 1 << 24


@dataclass(slots=True)
class Run:
    """Tensors that follow one another in the output from byte `at` of its data area on, and in the file of `place` too.

    Without a place it is one tensor, whose bytes have to be read from the source. `ends`: where each tensor ends, from
    the beginning of the run.
    """

    at: int
    place: Place | None
    names: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all its tensors."""
        return self.ends[-1] if self.ends else 0

    def add(self, name: str, size: int) -> None:
        """Put a tensor of `size` bytes at the end."""
        self.ends.append(self.size + size)
        self.names.append(name)

    def goes_on(self, place: Place | None, at: int) -> bool:
        """Whether a tensor at this place, written to byte `at` of the data area, can be copied with this run."""
        if self.place is None or place is None or at != self.at + self.size:
            return False
        return place == (self.place.descriptor, self.place.offset + self.size)


def runs(source: TensorSource) -> Iterator[Run]:
    """All tensors with any bytes, in the order of the file, those that can be copied together in one run."""
    run: Run | None = None
    for name, info in source.header.tensors.items():
        if not (size := info.nbytes):
            continue
        place = source.place(name)
        if run is not None and not run.goes_on(place, info.begin):
            yield run
            run = None
        run = run or Run(info.begin, place)
        run.add(name, size)
    if run is not None:
        yield run


def copied(place: Place, size: int, file: BinaryIO, at: int) -> Iterator[int]:
    """Copy `size` bytes to byte `at` of an unbuffered file; yields the bytes of each step.

    Ends early where the kernel or the file system cannot go on, and where the source ends: who reads and writes the
    rest himself is told why, if there is something to be told.
    """
    done = 0
    if not hasattr(os, "copy_file_range"):
        return
    file.seek(at)
    while done < size:
        try:
            count = os.copy_file_range(place.descriptor, file.fileno(), min(CHUNK, size - done), place.offset + done)
        except OSError:
            return
        if not count:
            return
        done += count
        yield count
