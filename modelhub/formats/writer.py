"""Write any source to a safetensors file: header first, tensors in file order, proven on the way, whole or not at all.

The file grows under a temporary name beside its goal, is synced, and is then renamed. Memory is a handful of blocks,
whatever the size of the model: what stands in a file already is copied by the kernel, workers make the rest.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modelhub.errors import FileExistsAlreadyError, NoSpaceError, UsageError, file_error
from modelhub.formats.copying import Run, copied, runs
from modelhub.formats.following import Following
from modelhub.formats.handle import open_regular
from modelhub.formats.parts import growing, sweep
from modelhub.formats.proving import Proof
from modelhub.formats.pump import Piece, Pump, pieces, write_all
from modelhub.formats.source import Place, TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.syncing import Syncing
from modelhub.jobs import QUIET, Advance, Job
from modelhub.text import human_size

if TYPE_CHECKING:
    from modelhub.formats.hashes import Hashes

__all__ = ["BLOCK", "Written", "check_place", "check_target", "replacing", "write", "write_all"]

#: Bytes per block: large enough to hide Python and threads, small enough to stay in a cache.
BLOCK = 512 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: `sha256` of the file, `tensor_sha256` of its data area; None where hashes were not wanted.

    `stat` is that of the file, by which it is known whether it is still the one that was written.
    """

    path: Path
    size: int
    sha256: str | None
    tensor_sha256: str | None
    tensors: int
    stat: FileStat

    @property
    def autov3(self) -> str | None:
        """The first 12 digits of `tensor_sha256`, by which other programs know the file."""
        return self.tensor_sha256 and self.tensor_sha256[:12]

    @property
    def hashes(self) -> Hashes | None:
        """All that were made, if any."""
        from modelhub.formats.hashes import Hashes

        return Hashes(self.sha256, autov2=self.sha256[:10], autov3=self.autov3) if self.sha256 else None


def write(
    source: TensorSource,
    path: str | Path,
    *,
    force: bool = False,
    workers: int = 2,
    block: int = BLOCK,
    hashes: bool = True,
    verify: bool = False,
    damaged: list[str] | None = None,
    job: Job = QUIET,
) -> Written:
    """Write `source` to `path` as safetensors and return the hashes of what was written.

    Results do not depend on `workers` or `block`. Tensors that have a place are copied by the kernel, the others are
    made by workers, each in a buffer of its own. Hashes are made of what is read back, beside the writing: they take as
    long as it does. With `verify`, every byte is read back from the file and proven: against the checksum
    that the source keeps of a tensor, or else against what the source gives. With a list `damaged`, tensors whose own
    checksum does not fit are put into it and written as they are.

    Raises FileExistsAlreadyError without `force`, NoSpaceError before the first byte if the disk is too full,
    UsageError when `path` is not a .safetensors name, CorruptFileError for a source that `verify` finds damaged,
    FileError for an output that it finds to differ; a cancelled or failed job leaves neither the file nor its temporary
    name behind.
    """
    goal = Path(path)
    sweep(goal.parent)
    check_target(goal, source.header.file_size, force=force)
    with replacing(goal, force=force, job=job) as file, ExitStack() as stack:
        head, part = source.header.encoded, Path(file.name)
        size = len(head) + source.header.data_size
        write_all(file, head)
        proof = stack.enter_context(Proof(source, part, goal, damaged, job)) if verify else None
        following = stack.enter_context(Following(part, len(head), size)) if hashes else None
        syncing = stack.enter_context(Syncing(file))
        with job.phase("writing", size, "bytes") as advance:
            advance(len(head), goal.name)
            _Writing(source, file, proof, following, syncing, advance).run(workers, block)
            syncing.hasten()
            if proof:
                proof.finish()
            whole, data = following.finish() if following else (None, None)
        syncing.finish()
        stat = FileStat.of(os.fstat(file.fileno()))
        return Written(goal, size, whole, data, len(source.header.tensors), stat)


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
    if os.path.lexists(goal) and not force:  # a link that leads nowhere may lead somewhere tomorrow
        raise FileExistsAlreadyError(f"{goal} exists already.", "Use --force to replace it, or choose another name.")
    if not goal.parent.is_dir():
        raise UsageError(f"{goal.parent} is not a folder.", "Create it first.")


@contextmanager
def replacing(goal: Path, *, force: bool = False, job: Job = QUIET) -> Iterator[BinaryIO]:
    """A binary file under a temporary name of its own beside `goal`; synced and renamed at the end, or else removed.

    Without `force`, a file that has come to `goal` meanwhile is not replaced: FileExistsAlreadyError.
    """
    try:
        with growing(goal) as (part, file):
            with file:
                yield file
                os.fsync(file.fileno())
            job.check()
            into_place(part, goal, force=force)
    except OSError as error:
        raise file_error(error, goal) from error


def into_place(part: Path, goal: Path, *, force: bool = False) -> None:
    """Give a synced file its final name, durably; `part` may still be another name of it afterwards.

    Raises FileExistsAlreadyError for a file that is there, without `force`; OSError.
    """
    _rename(part, goal, force)
    _sync_folder(goal.parent)


def _rename(part: Path, goal: Path, force: bool) -> None:
    """A link refuses to replace a file, where a rename would not; file systems without links get the next best."""
    if not force:
        try:
            os.link(part, goal)
            return
        except OSError:
            if os.path.lexists(goal):
                raise FileExistsAlreadyError(f"{goal} has come to exist meanwhile.", "Choose another name.") from None
    part.replace(goal)


def settle(path: Path) -> None:
    """Have the disk keep a file that another process wrote, and its name. Raises FileError."""
    try:
        descriptor = open_regular(path)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise file_error(error, path) from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; not every file system can, and the file itself is safe already."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Writing:
    """One source on its way into one file; workers call it, one at a time."""

    def __init__(
        self,
        source: TensorSource,
        file: BinaryIO,
        proof: Proof | None,
        following: Following | None,
        syncing: Syncing,
        advance: Advance,
    ) -> None:
        self._source, self._file = source, file
        self._proof, self._following, self._syncing, self._advance = proof, following, syncing, advance
        self._start = len(source.header.encoded)
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    def run(self, workers: int, block: int) -> None:
        """Write all tensors: the kernel copies those that have a place, while workers make the others."""
        every = list(runs(self._source))
        made = [run for run in every if not run.place]
        with Pump(self._source, self._file, self._wrote, workers, block) as pump:
            if made:
                pump.add(piece for run in made for piece in self._rest(run, 0, block))
            for run in every:
                if run.place and (done := self._copy(run, run.place, pump)) < run.size:
                    pump.add(self._rest(run, done, block))
            pump.finish()

    def _copy(self, run: Run, place: Place, pump: Pump) -> int:
        """Have the kernel copy a run; returns how many bytes of it were."""
        done, at = 0, 0
        for count in copied(place, run.size, self._file, self._start + run.at):
            pump.check()
            name, whole = run.names[min(at, len(run.names) - 1)], at
            while at < len(run.names) and run.ends[at] <= done + count:
                name, at = run.names[at], at + 1
            with self._lock:
                self._count(count, self._start + run.at + done, name)
                for finished in run.names[whole:at] if self._proof else ():
                    self._prove(finished)
            done += count
        return done

    def _rest(self, run: Run, done: int, block: int) -> Iterator[Piece]:
        """What is left of a run after its first `done` bytes."""
        for name, end in zip(run.names, run.ends, strict=True):
            begin = end - self._source.info(name).nbytes
            if end > done:
                self._left[name] = end - max(done, begin)
                alone = begin >= done and self._source.crc32(name) is None
                yield from pieces(self._source, name, self._start, block, begin=max(0, done - begin), alone=alone)

    def _wrote(self, piece: Piece, view: memoryview, at: int) -> None:
        if self._proof and piece.alone:
            self._proof.block(view, at)
        with self._lock:
            self._count(len(view), at, piece.name)
            self._left[piece.name] -= len(view)
            if self._proof and not self._left[piece.name]:
                self._prove(piece.name, alone=piece.alone)

    def _prove(self, name: str, *, alone: bool = False) -> None:
        """A whole tensor stands in the file."""
        assert self._proof is not None
        (self._proof.origin if alone else self._proof.tensor)(name)

    def _count(self, size: int, at: int, name: str) -> None:
        if self._following:
            self._following.wrote(at, size)
        self._syncing.wrote(size)
        self._advance(size, name)
