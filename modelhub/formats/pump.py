"""Move tensors into a growing file: each worker fills a buffer of its own from the source and writes it where it goes.

No worker waits for another: blocks are taken in the order of the file, and written in whatever order they are done.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import BinaryIO, NamedTuple

from modelhub.formats.closing import Closing
from modelhub.formats.source import TensorSource, element_size


class Piece(NamedTuple):
    """Bytes `begin` to `end` of one tensor, which one worker moves; `at` is its first byte in the output.

    `alone`: it is proven by itself, not with its whole tensor.
    """

    name: str
    begin: int
    end: int
    at: int
    alone: bool = False


def pieces(source: TensorSource, name: str, start: int, block: int, *, begin: int = 0, alone: bool) -> Iterator[Piece]:
    """A tensor from byte `begin` on, in grains, one or as many as fit a block; the data area begins at `start`."""
    info, grain = source.info(name), source.grain(name)
    step = max(grain, block - block % grain)
    for offset in range(begin, info.nbytes, step):
        yield Piece(name, offset, min(offset + step, info.nbytes), start + info.begin + offset, alone)


#: Told of every block that stands in the file, by the worker that wrote it: its piece, its bytes, where they are.
Wrote = Callable[[Piece, memoryview, int], None]


class Pump(Closing):
    """Workers that move pieces; the first error of any of them ends all, and is raised by `check` and `finish`.

    They start with the first pieces, so that a file that is copied by other means needs none.
    """

    def __init__(self, source: TensorSource, file: BinaryIO, wrote: Wrote, workers: int, block: int) -> None:
        self._source, self._wrote = source, wrote
        self._descriptor = os.dup(
            file.fileno()
        )  # its own: no other file gets the number while a worker may still write
        self._workers, self._block = workers, block
        self._queue: deque[Iterator[Piece]] = deque()
        self._pool = ThreadPoolExecutor(workers, "fill")
        self._working: list[Future[None]] = []
        self._failed: list[int] = []
        self._changed = threading.Condition()
        self._ended = self._stopped = False

    def add(self, some: Iterable[Piece]) -> None:
        """Have these moved after those that were added before."""
        with self._changed:
            self._queue.append(iter(some))
            self._changed.notify_all()
        while len(self._working) < self._workers:
            self._working.append(self._pool.submit(self._work, len(self._working)))

    def check(self) -> None:
        """Raise the first error of a worker, if there was one."""
        for number in self._failed:
            self._working[number].result()

    def finish(self) -> None:
        """Wait until all is moved. Raises the first error."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        wait(self._working)
        self.check()

    def close(self) -> None:
        """Stop after the blocks that are under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _work(self, number: int) -> None:
        buffer = memoryview(bytearray(self._block + 8))  # 8: an element that is larger than the block
        is_done = False
        try:
            while some := self._next():
                for piece in some:
                    self._move(piece, buffer)
            is_done = True
        finally:
            if not is_done:
                self._fail(number)

    def _next(self) -> list[Piece]:
        """The next pieces to move, a block of them, waited for if need be; none when there will be no more."""
        with self._changed:
            while not self._stopped:
                if some := self._taken():
                    return some
                if self._ended:
                    break
                self._changed.wait()
        return []

    def _taken(self) -> list[Piece]:
        """Pieces from the queue until they make a block: small tensors go to one worker together."""
        some: list[Piece] = []
        size = 0
        while self._queue and size < self._block:
            if (piece := next(self._queue[0], None)) is None:
                self._queue.popleft()
            else:
                some.append(piece)
                size += piece.end - piece.begin
        return some

    def _move(self, piece: Piece, buffer: memoryview) -> None:
        """A piece is one block, unless its grain is larger."""
        size = element_size(self._source.info(piece.name))
        step = max(size, self._block - self._block % size)
        for offset in range(piece.begin, piece.end, step):
            if self._stopped:
                return
            view, at = buffer[: min(step, piece.end - offset)], piece.at + offset - piece.begin
            self._source.read_into(piece.name, offset, view)
            put(self._descriptor, view, at)
            self._wrote(piece, view, at)

    def _fail(self, number: int) -> None:
        """A worker ends with an error: no other begins anything new."""
        with self._changed:
            self._failed.append(number)
            self._stopped = True
            self._changed.notify_all()


def put(descriptor: int, view: memoryview, at: int) -> None:
    """Write all of `view` to byte `at` of a file, which may take less at a time than it is given. Raises OSError."""
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write `data` to an unbuffered file, which may take less at a time than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
