"""All hashes of a file in one go: SHA256, BLAKE3, CRC32 and the AutoV1 to V3 of the Stable Diffusion world.

AutoV1: SHA256 of 64 KiB at 1 MiB, first 8 digits; AutoV2: SHA256 of the file, first 10; AutoV3: SHA256 of the data area
of a safetensors file, first 12. A hash that the file cannot have is None.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from modelhub.errors import CancelledError, FileError, ModelhubError, file_error
from modelhub.formats.crc import crc32
from modelhub.formats.handle import open_regular
from modelhub.formats.lanes import Digest, feed
from modelhub.formats.safetensors import read_header
from modelhub.formats.stat import FileStat
from modelhub.jobs import QUIET, Job

#: Hears how many bytes more were hashed, and of which file.
Count = Callable[[int, str], None]

_AUTOV1_BEGIN, _AUTOV1_END = 0x100000, 0x110000
#: SHA256 of nothing: writers that hashed no data left it in metadata, and thousands of files share it.
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True, slots=True)
class Hashes:
    """Lower-case hex digests of one file; None for what was not asked for or what the file cannot have."""

    sha256: str | None = None
    blake3: str | None = None
    crc32: str | None = None
    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Name to digest, in the order of the command line's contract."""
        return asdict(self)


class _Crc32:
    """CRC-32 with the face of a hash."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: memoryview, /) -> None:
        self.value = crc32(data, self.value)


def hash_file(path: str | Path, mode: str = "full", job: Job = QUIET) -> Hashes:
    """Hash a file, its digests spread over the cores.

    `mode` "fast": SHA256, BLAKE3 and what follows from them; "full": all. Raises NotAModelError for a
    device or a pipe, FileError when the file cannot be read or is written to meanwhile.
    """
    path = Path(path)
    with job.phase("hashing", _size([path]), "bytes") as advance:
        return _hash_one(path, mode, _cores(), advance)


def hash_asset(path: str | Path, mode: str = "full", job: Job = QUIET) -> Hashes:
    """Hash an asset: a file as `hash_file`; of several files (shards, a folder) the hashes of the list of their hashes.

    The list is what `sha256sum` or `b3sum` prints for the members, named relative to their folder and sorted:
    "<hex>  <name>\\n" each. Other hashes are None then. Raises what `hash_file` raises.
    """
    path = Path(path)
    files = _members(path)
    with job.phase("hashing", _size(files), "bytes") as advance:
        return _hash_files(path, files, mode, _cores(), advance)


def hash_many(
    paths: Iterable[str | Path], mode: str = "full", lanes: int = 0, job: Job = QUIET
) -> Generator[tuple[Path, Hashes | ModelhubError], None, None]:
    """Hash assets, `lanes` at once (0: one for every four cores); each is yielded when it is done, in any order.

    An asset that cannot be hashed yields its error. Raises CancelledError when stopped; closing the iterator stops too.
    """
    waiting = {path: _members(path) for path in map(Path, paths)}
    if not waiting:
        return
    lanes = min(lanes or max(1, _cores() // 4), len(waiting))
    with job.phase("hashing", sum(map(_size, waiting.values())), "bytes") as advance:
        yield from _each(waiting, mode, lanes, _Count(job, advance))


def _members(path: Path) -> list[Path]:
    """The files of an asset; of what is none, the path itself: reading it says what is wrong."""
    from modelhub.formats.opening import members

    try:
        return members(path) or [path]
    except FileError:
        return [path]


def _hash_files(path: Path, files: list[Path], mode: str, threads: int, count: Count) -> Hashes:
    if files == [path]:
        return _hash_one(path, mode, threads, count)
    folder = path if path.is_dir() else path.parent
    return _of_list({os.path.relpath(file, folder): _hash_one(file, "fast", threads, count) for file in files})


def hash_list(found: Iterable[tuple[str, str | None]]) -> bytes:
    """The list that `sha256sum` would print of files, by name: what the hash of several files is one of."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(found)).encode()


def _of_list(found: dict[str, Hashes]) -> Hashes:
    from blake3 import blake3

    named = [(Path(name).as_posix(), hashes) for name, hashes in found.items()]
    sha256 = hashlib.sha256(hash_list((name, hashes.sha256) for name, hashes in named)).hexdigest()
    tree = blake3(hash_list((name, hashes.blake3) for name, hashes in named)).hexdigest()
    return Hashes(sha256=sha256, blake3=tree, autov2=sha256[:10])


def _each(
    waiting: dict[Path, list[Path]], mode: str, lanes: int, count: _Count
) -> Generator[tuple[Path, Hashes | ModelhubError], None, None]:
    """The answers as they come, with no more than one asset per lane begun."""
    threads = max(1, _cores() // lanes)
    left = iter(waiting.items())
    with ThreadPoolExecutor(lanes) as pool, count:
        running = {pool.submit(_try, *one, mode, threads, count) for one in islice(left, lanes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_try, *one, mode, threads, count) for one in islice(left, len(done))}
            for future in done:
                yield future.result()


class _Count:
    """The progress of many files; ends the threads once nobody waits for their answers."""

    def __init__(self, job: Job, advance: Count) -> None:
        self._job, self._advance = job, advance
        self._over = False

    def __call__(self, count: int, name: str) -> None:
        if self._over:
            raise CancelledError
        self._advance(count, name)

    def __enter__(self) -> None:
        self._job.check()

    def __exit__(self, *_: object) -> None:
        self._over = True


def _try(path: Path, files: list[Path], mode: str, threads: int, count: _Count) -> tuple[Path, Hashes | ModelhubError]:
    try:
        return path, _hash_files(path, files, mode, threads, count)
    except FileError as error:
        return path, error


def _hash_one(path: Path, mode: str, threads: int, count: Count) -> Hashes:
    descriptor = open_regular(path)
    try:
        stat = FileStat.of(os.fstat(descriptor))
        found = _hash(path, descriptor, mode == "full", threads, lambda done: count(done, path.name))
        _check_unchanged(path, stat, FileStat.of(os.fstat(descriptor)))
        return found
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)


def _hash(path: Path, descriptor: int, full: bool, threads: int, count: Callable[[int], None]) -> Hashes:
    from blake3 import blake3

    size = os.fstat(descriptor).st_size
    data_start = _data_start(path) if full else None
    whole, data, tree, crc = hashlib.sha256(), hashlib.sha256(), blake3(), _Crc32()
    digests = [Digest(whole.update, 1.0), Digest(tree.update, 0.25)]
    if full:
        digests.append(Digest(crc.update, 0.1))
    if data_start:
        digests.append(Digest(data.update, 1.0, data_start))
    autov1 = _autov1(descriptor) if full and size >= _AUTOV1_END else None
    if feed(descriptor, size, digests, threads, count) != size:
        raise _changed_size(path)
    sha256 = whole.hexdigest()
    return Hashes(
        sha256=sha256,
        blake3=tree.hexdigest(),
        crc32=f"{crc.value:08x}" if full else None,
        autov1=autov1,
        autov2=sha256[:10],
        autov3=data.hexdigest()[:12] if data_start and size > data_start else None,
    )


def autov1(path: str | Path) -> str | None:
    """The AutoV1 alone, for which 64 KiB are read; None for what cannot have it: a short file, a folder.

    Raises NotAModelError for a device or a pipe, FileError when the file cannot be read.
    """
    if os.path.isdir(path):  # noqa: PTH112 (never raises)
        return None
    descriptor = open_regular(path)
    try:
        return _autov1(descriptor) if os.fstat(descriptor).st_size >= _AUTOV1_END else None
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)


def _autov1(descriptor: int) -> str:
    piece = os.pread(descriptor, _AUTOV1_END - _AUTOV1_BEGIN, _AUTOV1_BEGIN)
    return hashlib.sha256(piece).hexdigest()[:8]


def _check_unchanged(path: Path, before: FileStat, after: FileStat) -> None:
    if before.size != after.size:
        raise _changed_size(path)
    if before != after:
        raise FileError(f"{path} was written to while it was read.", "Try again when that is done.")


def _changed_size(path: Path) -> FileError:
    return FileError(f"{path} changed its size while it was read.", "Something else writes to it; try again later.")


def _data_start(path: Path) -> int | None:
    """Where the data area of a safetensors file begins; None for every other file."""
    try:
        return read_header(path).data_start
    except ModelhubError:
        return None


def _size(files: Iterable[Path]) -> int:
    """Bytes of files; 0 for what will turn out not to be one."""
    total = 0
    for path in files:
        with suppress(OSError, ValueError):
            total += path.stat().st_size
    return total


def _cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
