"""Write any source to a safetensors file: header first, tensors in file order, hashed on the way, whole or not at all.

The file grows under a temporary name beside its goal, is synced, and is then renamed. Memory is a handful of blocks,
whatever the size of the model: workers fill blocks from the source, one thread writes them in order, two hash them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from modelhub.errors import FileExistsAlreadyError, NoSpaceError, UsageError, file_error
from modelhub.formats.source import TensorSource, element_size
from modelhub.jobs import QUIET, Advance, Job
from modelhub.text import human_size

#: Bytes per block: large enough to hide Python and threads, small enough to stay in a cache.
BLOCK = 1024 * 1024
#: Blocks that may wait for their hashes while others are written.
_HASHING = 4


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: `sha256` of the file, `tensor_sha256` of its data area (its first 12 digits are AutoV3)."""

    path: Path
    size: int
    sha256: str
    tensor_sha256: str
    tensors: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """One block of one tensor, to be read from the source."""

    name: str
    offset: int
    size: int


def write(
    source: TensorSource,
    path: str | Path,
    *,
    force: bool = False,
    workers: int = 2,
    block: int = BLOCK,
    job: Job = QUIET,
) -> Written:
    """Write `source` to `path` as safetensors and return the hashes of what was written.

    Results do not depend on `workers` or `block`. Raises FileExistsAlreadyError without `force`, NoSpaceError before
    the first byte if the disk is too full, UsageError when `path` is not a .safetensors name; a cancelled or failed
    job leaves neither the file nor its temporary name behind.
    """
    goal = Path(path)
    check_target(goal, source.header.file_size, force=force)
    with replacing(goal, force=force, job=job) as file:
        return _stream(source, goal, file, workers, block, job)


def check_target(goal: Path, size: int, *, force: bool = False) -> None:
    """Raise the error that writing `size` bytes to `goal` would end in, if it can be seen beforehand."""
    if goal.suffix not in (".safetensors", ".sft"):
        raise UsageError(f"{goal} is not a name for a safetensors file.", "Let the name end in .safetensors.")
    try:
        check_place(goal, force=force)
        free = shutil.disk_usage(goal.parent).free
    except OSError as error:
        raise file_error(error, goal) from error
    if free < size:
        needs, has = human_size(size), human_size(free)
        raise NoSpaceError(
            f"{goal} needs {needs}, and {has} are free on its disk.", "Free some, or choose another disk."
        )


def check_place(goal: Path, *, force: bool = False) -> None:
    """Raise FileExistsAlreadyError or UsageError if no file may or can come to `goal`, OSError if it cannot be told."""
    if "\0" in str(goal):
        raise UsageError(f"{str(goal)!r} cannot be the name of a file.", "Choose another name.")
    if goal.is_dir():
        raise FileExistsAlreadyError(f"{goal} is a folder.", "Name a file.")
    if goal.exists() and not force:
        raise FileExistsAlreadyError(f"{goal} exists already.", "Use --force to replace it, or choose another name.")
    if not goal.parent.is_dir():
        raise UsageError(f"{goal.parent} is not a folder.", "Create it first.")


@contextmanager
def replacing(goal: Path, *, force: bool = False, job: Job = QUIET) -> Iterator[BinaryIO]:
    """A binary file under a temporary name of its own beside `goal`; synced and renamed at the end, or else removed.

    Without `force`, a file that has come to `goal` meanwhile is not replaced: FileExistsAlreadyError.
    """
    part = goal.with_name(f".{goal.stem[:40]}.{secrets.token_hex(6)}.part")
    try:
        with part.open("xb", buffering=0) as file:
            yield file
            os.fsync(file.fileno())
        job.check()
        _rename(part, goal, force)
        _sync_folder(goal.parent)
    except OSError as error:
        raise file_error(error, goal) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write `data` to an unbuffered file, which may take less at a time than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _rename(part: Path, goal: Path, force: bool) -> None:
    """A link refuses to replace a file, where a rename would not; file systems without links get the next best."""
    if not force:
        try:
            os.link(part, goal)
            return
        except OSError:
            if goal.exists():
                raise FileExistsAlreadyError(f"{goal} has come to exist meanwhile.", "Choose another name.") from None
    part.replace(goal)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; not every file system can, and the file itself is safe already."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stream(source: TensorSource, goal: Path, file: BinaryIO, workers: int, block: int, job: Job) -> Written:
    head = source.header.encoded
    size = len(head) + source.header.data_size
    output = _Output(file, head)
    with job.phase("writing", size, "bytes") as advance, output, _Pump(source, workers, block, output) as pump:
        advance(len(head), goal.name)
        for piece in _pieces(source, block):
            pump.put(piece, advance)
        pump.finish(advance)
    return Written(goal, size, output.file_hash.hexdigest(), output.data_hash.hexdigest(), len(source.header.tensors))


def _pieces(source: TensorSource, block: int) -> Iterator[_Piece]:
    """Every tensor in file order, in blocks of whole elements."""
    for name, info in source.header.tensors.items():
        step = max(block - block % element_size(info), element_size(info))
        for offset in range(0, info.nbytes, step):
            yield _Piece(name, offset, min(step, info.nbytes - offset))


class _Pump:
    """Moves blocks from the source to the output in order; a few buffers go round, and everybody works on another one.

    A buffer is free, being filled by a worker, or being hashed; writing happens in between, on the calling thread.
    """

    def __init__(self, source: TensorSource, workers: int, block: int, output: _Output) -> None:
        self._source, self._output = source, output
        self._pool = ThreadPoolExecutor(workers, "fill")
        self._free = [bytearray(block + 8) for _ in range(2 * workers + 2 + _HASHING)]
        self._filling: deque[tuple[_Piece, bytearray, Future[None]]] = deque()
        self._hashing: deque[tuple[bytearray, list[Future[None]]]] = deque()

    def put(self, piece: _Piece, advance: Advance) -> None:
        """Have a block filled; waits for a free buffer by writing the blocks before it."""
        while not self._free:
            if len(self._hashing) > _HASHING or not self._filling:
                self._reclaim()
            else:
                self._write(advance)
        buffer = self._free.pop()
        view = memoryview(buffer)[: piece.size]
        filled = self._pool.submit(self._source.read_into, piece.name, piece.offset, view)
        self._filling.append((piece, buffer, filled))

    def finish(self, advance: Advance) -> None:
        """Write and hash everything that is under way."""
        while self._filling:
            self._write(advance)
        while self._hashing:
            self._reclaim()

    def _write(self, advance: Advance) -> None:
        piece, buffer, filled = self._filling.popleft()
        filled.result()
        self._hashing.append((buffer, self._output.put(memoryview(buffer)[: piece.size])))
        advance(piece.size, piece.name)

    def _reclaim(self) -> None:
        buffer, hashed = self._hashing.popleft()
        for future in hashed:
            future.result()
        self._free.append(buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class _Output:
    """The growing file and its two hashes; each hash runs on a thread of its own beside the write."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file = file
        self.file_hash, self.data_hash = hashlib.sha256(head), hashlib.sha256()
        self._threads = [(digest, ThreadPoolExecutor(1, "hash")) for digest in (self.file_hash, self.data_hash)]
        write_all(file, head)

    def put(self, view: memoryview) -> list[Future[None]]:
        """Write one block, and have it hashed: `view` must stay as it is until the futures are done."""
        hashed = [thread.submit(digest.update, view) for digest, thread in self._threads]
        write_all(self._file, view)
        return hashed

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for _digest, thread in self._threads:
            thread.shutdown(cancel_futures=True)
