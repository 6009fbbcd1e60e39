"""Give a file to several digests on several cores in one pass of the disk, and leave the page cache as it was.

Each lane reads by itself, from the page cache into a buffer that stays in its core's own cache, and never runs far
ahead of the others: to hand blocks from core to core costs more than to copy them twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 19
#: How far apart lanes may be, and in what pieces the disk is asked ahead and the page cache is given back.
_APART, _STEP = 16 << 20, 8 << 20
_PROBES = 8

Count = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Digest:
    """A function that takes the bytes of a file from `start` on, in order; `cost` is its time beside the others'."""

    update: Callable[[memoryview], object]
    cost: float
    start: int = 0

    def take(self, data: memoryview, position: int) -> None:
        """Take what it wants of `data`, which lies at `position` of the file."""
        skip = max(0, self.start - position)
        if skip < len(data):
            self.update(data[skip:])


def feed(descriptor: int, size: int, digests: Sequence[Digest], threads: int, count: Count) -> int:
    """Give the first `size` bytes of a file to every digest, on up to `threads` threads; returns how many there were.

    `count` hears of every block that all have taken, on any thread; what it raises ends the reading. Raises OSError.
    """
    lanes = spread(digests, threads if size > _BLOCK else 1)
    run = _Run(descriptor, size, len(lanes), count)
    with ThreadPoolExecutor(len(lanes)) as pool:
        return min(pool.map(run.lane, range(len(lanes)), lanes))


def spread(digests: Sequence[Digest], threads: int) -> list[list[Digest]]:
    """The digests on at most `threads` lanes of about equal cost: the dearest first, each to the idlest lane."""
    lanes: list[list[Digest]] = [[] for _ in range(min(threads, len(digests)))]
    for digest in sorted(digests, key=lambda digest: -digest.cost):
        min(lanes, key=lambda lane: sum(one.cost for one in lane)).append(digest)
    return lanes


class _Run:
    """One file on its way through several lanes: where each is, and whether all should stop."""

    def __init__(self, descriptor: int, size: int, lanes: int, count: Count) -> None:
        self._descriptor, self._size, self._count = descriptor, size, count
        self._positions = [0] * lanes
        self._moved = threading.Condition()
        self._stopped = False
        self._cache = None if is_cached(descriptor, size) else _Visit(descriptor, size)

    def lane(self, number: int, digests: list[Digest]) -> int:
        """Read to the end, or to where another lane failed; returns the position."""
        position, buffer = 0, memoryview(bytearray(min(_BLOCK, self._size)))
        try:
            while position < self._size and not self._stopped:
                if self._cache is not None:
                    self._cache.ahead(position)
                data = buffer[: os.preadv(self._descriptor, [buffer[: self._size - position]], position)]
                if not data:
                    break
                for digest in digests:
                    digest.take(data, position)
                position += len(data)
                self._report(number, position)
        finally:
            if position < self._size:
                self._stop()
        return position

    def _report(self, number: int, position: int) -> None:
        """This lane has come to `position`; waits while another is far behind."""
        with self._moved:
            before = min(self._positions)
            self._positions[number] = position
            slowest = min(self._positions)
            if slowest > before:
                self._moved.notify_all()
        if slowest > before:
            if self._cache is not None:
                self._cache.behind(slowest)
            self._count(slowest - before)
        with self._moved:
            self._moved.wait_for(lambda: self._stopped or position - min(self._positions) <= _APART)

    def _stop(self) -> None:
        with self._moved:
            self._stopped = True
            self._moved.notify_all()


def is_cached(descriptor: int, size: int) -> bool:
    """Whether parts of a file were in memory before it was read; so too where the system does not tell."""
    nowait = getattr(os, "RWF_NOWAIT", None)
    if nowait is None:
        return True
    buffer = bytearray(1)
    for number in range(_PROBES):
        with suppress(BlockingIOError):
            return _probe(descriptor, buffer, (2 * number + 1) * size // (2 * _PROBES), nowait)
    return False


def _probe(descriptor: int, buffer: bytearray, position: int, nowait: int) -> bool:
    """True when the byte can be had, or when that cannot be asked. Raises BlockingIOError when it is on the disk."""
    try:
        os.preadv(descriptor, [buffer], position, nowait)
    except BlockingIOError:
        raise
    except OSError:  # a file system that cannot say
        return True
    return True


class _Visit:
    """A file that was not in memory and should not stay there: asked for ahead of the readers, dropped behind them."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size = descriptor, size
        self._asked = self._dropped = 0

    def ahead(self, position: int) -> None:
        """Have the disk read on while the digests are busy."""
        if position + _STEP > self._asked and self._asked < self._size:
            start, self._asked = self._asked, self._asked + _STEP
            os.posix_fadvise(self._descriptor, start, _STEP, os.POSIX_FADV_WILLNEED)

    def behind(self, position: int) -> None:
        """Give back what all lanes have read; what others hold stays."""
        if position - self._dropped >= _STEP or position == self._size:
            start, self._dropped = self._dropped, position
            os.posix_fadvise(self._descriptor, start, position - start, os.POSIX_FADV_DONTNEED)


def drop_cached(path: str | Path) -> None:
    """Have the system forget what it holds of a file, so that the next reading comes from the disk. Raises OSError.

    What was not written to the disk yet, or is in use, stays.
    """
    if hasattr(os, "posix_fadvise"):
        with Path(path).open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
