"""Prove a file while it is written: every byte is read back and held against a checksum, or against its source."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from modelhub.errors import CancelledError, CorruptFileError, FileError
from modelhub.formats.closing import Closing
from modelhub.formats.crc import crc32
from modelhub.formats.handle import Handle, fill_from
from modelhub.formats.source import Record, TensorSource
from modelhub.jobs import Job

#: What fills a buffer from an offset on.
Fill = Callable[[int, memoryview], None]

#: Bytes that are read back at a time; they stay in a cache.
_BLOCK = 1 << 18
#: Threads that read back: the second has work when the writing is done, or slower.
_THREADS = 2


class Proof(Closing):
    """The proof of one file that grows: told of what was written, it checks that on threads of its own.

    A tensor of which the source keeps a CRC-32 is held against that, so that a damaged source is found as well; another
    one against the source itself, or block by block against what was written, so that nothing is computed twice; and
    what it was made from against the checksums that the source keeps of that. Tensors of a damaged source are errors,
    or, given a list `damaged`, are put into it.
    """

    def __init__(self, source: TensorSource, part: Path, goal: Path, damaged: list[str] | None, job: Job) -> None:
        """`part` is the file's name while it is written, `goal` the one that it will have."""
        self._source, self._goal, self._damaged, self._job = source, goal, damaged, job
        self._start = len(source.header.encoded)
        self._file = Handle(part)
        self._pool = ThreadPoolExecutor(_THREADS, "prove")
        self._waiting: deque[Future[None]] = deque()
        self._stop = threading.Event()
        self._own = threading.local()
        self._made: dict[Record, list[str]] = {}
        self._broken: list[Record] = []

    def block(self, view: memoryview, at: int) -> None:
        """Check that byte `at` of the file and what follows is `view`, on the calling thread. Raises FileError."""
        begin = 0
        for block in self._blocks(lambda offset, buffer: self._file.fill(at + offset, buffer), len(view), "ours"):
            if block != view[begin : begin + len(block)]:
                raise self._not_kept(self._name_at(at))
            begin += len(block)

    def tensor(self, name: str) -> None:
        """The whole tensor was written. Raises what was found wrong with tensors before."""
        self._waiting.append(self._pool.submit(self._check_tensor, name))
        self.origin(name)

    def origin(self, name: str) -> None:
        """The tensor was read: have each record that it was made from checked, once for all that are made from it.

        Not for one that is checked against its own checksum. Raises what was found wrong before.
        """
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        for record in self._source.records(name) if self._source.crc32(name) is None else ():
            names = self._made.setdefault(record, [])
            names.append(name)
            if len(names) == 1:
                self._waiting.append(self._pool.submit(self._check_record, name, record))

    def finish(self) -> None:
        """Wait for all that is left. Raises CorruptFileError for a damaged source, FileError for another output."""
        while self._waiting:
            self._waiting.popleft().result()
        if self._damaged is not None:
            self._damaged.extend(name for record in self._broken for name in self._made[record])
        header = self._source.header
        front = bytearray(self._start)
        self._file.fill(0, memoryview(front))
        if front != header.encoded or self._file.length() != self._start + header.data_size:
            raise self._not_kept("its header")

    def close(self) -> None:
        """Stop, whatever is left to check."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def _name_at(self, at: int) -> str:
        infos = self._source.header.tensors.items()
        found = (name for name, info in infos if 0 <= at - self._start - info.begin < info.nbytes)
        return f"tensor {next(found)[:200]!r}"

    def _check_tensor(self, name: str) -> None:
        size, kept = self._source.info(name).nbytes, self._source.crc32(name)
        if kept is None:
            if not self._same(name, size):
                raise self._not_kept(f"tensor {name[:200]!r}")
        elif self._crc(self._written(name), size) != kept:
            self._find_out(name, size, kept)

    def _find_out(self, name: str, size: int, kept: int) -> None:
        """The source is damaged, or the output is not what the source gives, or both."""
        is_damaged = self._crc(self._given(name), size) != kept
        if not is_damaged or not self._same(name, size):
            raise self._not_kept(f"tensor {name[:200]!r}")
        if self._damaged is None:
            raise self._unsound(name)
        self._damaged.append(name)

    def _check_record(self, name: str, record: Record) -> None:
        (descriptor, begin), path = record.place, self._file_of(name)
        read = self._crc(lambda at, buffer: fill_from(descriptor, path, begin + at, buffer), record.size)
        if read != record.crc and self._damaged is None:
            raise self._unsound(name)
        if read != record.crc:
            self._broken.append(record)

    def _file_of(self, name: str) -> Path | str:
        return self._source.file_of(name) or "The source"

    def _unsound(self, name: str) -> CorruptFileError:
        return CorruptFileError(
            f"{self._file_of(name)} is damaged: the checksum that it keeps of tensor {name[:200]!r} does not fit its "
            "bytes.",
            "Download or copy it again; `modelhub convert --salvage` converts it as it is.",
        )

    def _same(self, name: str, size: int) -> bool:
        """Whether the file has what the source gives."""
        theirs = self._blocks(self._given(name), size, "theirs")
        ours = self._blocks(self._written(name), size, "ours")
        return all(bytes_are == bytes_were for bytes_are, bytes_were in zip(ours, theirs, strict=True))

    def _crc(self, fill: Fill, size: int) -> int:
        crc = 0
        for block in self._blocks(fill, size, "ours"):
            crc = crc32(block, crc)
        return crc

    def _blocks(self, fill: Fill, size: int, which: str) -> Iterator[bytearray]:
        """The bytes in blocks, which come in one buffer of this thread; bytearrays compare at the speed of memory."""
        for at in range(0, size, _BLOCK):
            self._job.check()
            if self._stop.is_set():
                raise CancelledError
            count = min(_BLOCK, size - at)
            buffer = self._buffer(which) if count == _BLOCK else bytearray(count)
            fill(at, memoryview(buffer))
            yield buffer

    def _buffer(self, which: str) -> bytearray:
        if not hasattr(self._own, which):
            setattr(self._own, which, bytearray(_BLOCK))
        found: bytearray = getattr(self._own, which)
        return found

    def _written(self, name: str) -> Fill:
        """What reads a tensor back: from an offset in it, into a buffer."""
        begin = self._start + self._source.info(name).begin
        return lambda offset, buffer: self._file.fill(begin + offset, buffer)

    def _given(self, name: str) -> Fill:
        """What reads a tensor from the source."""
        return lambda offset, buffer: self._source.read_into(name, offset, buffer)

    def _not_kept(self, what: str) -> FileError:
        return FileError(
            f"{self._goal} was not written: read back, {what} is not what was written.",
            "The disk or the memory of this computer may be failing; check them before anything else.",
        )
