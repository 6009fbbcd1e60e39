"""Move tensors through a few buffers: workers fill them from the source, one thread writes them, two hash them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from modelhub.formats.closing import Closing
from modelhub.formats.source import TensorSource, element_size

#: Blocks that may wait to be hashed and read back while others are written.
_LOOKING = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """One block of one tensor, to be read from the source; `at` is its first byte in the output.

    `alone`: it is proven by itself, not with its whole tensor.
    """

    name: str
    offset: int
    size: int
    at: int
    alone: bool = False


def pieces(source: TensorSource, name: str, start: int, block: int, *, begin: int = 0, alone: bool) -> Iterator[Piece]:
    """A tensor from byte `begin` on, in blocks of whole elements; `start` is where the data area begins."""
    info = source.info(name)
    step = max(block - block % element_size(info), element_size(info))
    for offset in range(begin, info.nbytes, step):
        yield Piece(name, offset, min(step, info.nbytes - offset), start + info.begin + offset, alone)


class Pump(Closing):
    """Moves blocks from the source to the output in order; a few buffers go round, and everybody works on another one.

    A buffer is free, being filled by a worker, or being looked at: hashed, or read back. Writing happens in between, on
    the calling thread, which then says so to `wrote`: the futures that it answers with need the block as it is.
    """

    def __init__(
        self,
        source: TensorSource,
        output: Output,
        wrote: Callable[[Piece, memoryview], list[Future[None]]],
        workers: int,
        block: int,
    ) -> None:
        self._source, self._output, self._wrote = source, output, wrote
        self._pool = ThreadPoolExecutor(workers, "fill")
        self._size, self._left = block + 8, 2 * workers + 2 + _LOOKING
        self._free: list[bytearray] = []
        self._filling: deque[tuple[Piece, bytearray, Future[None]]] = deque()
        self._looking: deque[tuple[bytearray, list[Future[None]]]] = deque()

    def put(self, piece: Piece) -> None:
        """Have a block filled; waits for a free buffer by writing the blocks before it."""
        while not self._free and not self._left:
            if len(self._looking) > _LOOKING or not self._filling:
                self._reclaim()
            else:
                self._write()
        buffer = self._buffer()
        view = memoryview(buffer)[: piece.size]
        filled = self._pool.submit(self._source.read_into, piece.name, piece.offset, view)
        self._filling.append((piece, buffer, filled))

    def finish(self) -> None:
        """Write, hash and read back everything that is under way."""
        while self._filling:
            self._write()
        while self._looking:
            self._reclaim()

    def close(self) -> None:
        """Stop, whatever is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _buffer(self) -> bytearray:
        """A buffer that is free, or one more: most files need none, as they are copied."""
        if self._free:
            return self._free.pop()
        self._left -= 1
        return bytearray(self._size)

    def _write(self) -> None:
        piece, buffer, filled = self._filling.popleft()
        filled.result()
        view = memoryview(buffer)[: piece.size]
        self._looking.append((buffer, self._output.put(view, piece.at) + self._wrote(piece, view)))

    def _reclaim(self) -> None:
        buffer, looks = self._looking.popleft()
        for future in looks:
            future.result()
        self._free.append(buffer)


class Output(Closing):
    """The growing file and, if wanted, its two hashes; each hash runs on a thread of its own beside the write."""

    def __init__(self, file: BinaryIO, head: bytes, *, hashes: bool) -> None:
        self._file = file
        self._digests = [hashlib.sha256(head), hashlib.sha256()] if hashes else []
        self._threads = [(digest, ThreadPoolExecutor(1, "hash")) for digest in self._digests]
        write_all(file, head)

    def put(self, view: memoryview, at: int) -> list[Future[None]]:
        """Write one block, and have it hashed: `view` must stay as it is until the futures are done."""
        hashed = [thread.submit(digest.update, view) for digest, thread in self._threads]
        if self._file.tell() != at:
            self._file.seek(at)
        write_all(self._file, view)
        return hashed

    @property
    def hashes(self) -> tuple[str | None, str | None]:
        """SHA256 of the file and of its data area, None where they were not wanted."""
        if not self._digests:
            return None, None
        whole, data = self._digests
        return whole.hexdigest(), data.hexdigest()

    def close(self) -> None:
        """Stop hashing."""
        for _digest, thread in self._threads:
            thread.shutdown(cancel_futures=True)


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write `data` to an unbuffered file, which may take less at a time than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
