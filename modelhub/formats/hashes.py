"""All hashes of a file in one read: SHA256, BLAKE3, CRC32 and the AutoV1 to V3 of the Stable Diffusion world.

AutoV1: SHA256 of 64 KiB at 1 MiB, first 8 digits; AutoV2: SHA256 of the file, first 10; AutoV3: SHA256 of the data area
of a safetensors file, first 12. A hash that the file cannot have is None.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Protocol

from modelhub.errors import FileError, ModelhubError, file_error
from modelhub.formats.safetensors import open_regular, read_header
from modelhub.jobs import QUIET, Job

_AUTOV1_BEGIN, _AUTOV1_END = 0x100000, 0x110000
_BLOCK = 4 << 20


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


class _Digest(Protocol):
    def update(self, data: memoryview, /) -> object: ...


class _Crc32:
    """zlib's CRC-32 with the face of a hash."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: memoryview, /) -> None:
        self.value = zlib.crc32(data, self.value)

    def hexdigest(self) -> str:
        return f"{self.value:08x}"


class _Window:
    """SHA256 of the bytes `begin` to `end` of a stream (end None = to its end)."""

    def __init__(self, begin: int, end: int | None) -> None:
        self._begin, self._end, self._position = begin, end, 0
        self.digest = hashlib.sha256()

    def update(self, data: memoryview, /) -> None:
        low = max(0, self._begin - self._position)
        high = len(data) if self._end is None else min(len(data), self._end - self._position)
        if low < high:
            self.digest.update(data[low:high])
        self._position += len(data)


def hash_file(path: str | Path, mode: str = "full", job: Job = QUIET) -> Hashes:
    """Hash a file in one read, one thread per digest.

    `mode` "fast": SHA256, BLAKE3 and what follows from them; "full": all. Raises NotAModelError for a
    device or a pipe, FileError when the file cannot be read or changes its size meanwhile.
    """
    path = Path(path)
    descriptor = open_regular(path)
    try:
        return _hash(path, descriptor, mode, job)
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)


def _hash(path: Path, descriptor: int, mode: str, job: Job) -> Hashes:
    from blake3 import blake3

    size = os.fstat(descriptor).st_size
    full = mode == "full"
    data_start = _data_start(path) if full else None
    whole, tree, crc = hashlib.sha256(), blake3(), _Crc32()
    v1, v3 = _Window(_AUTOV1_BEGIN, _AUTOV1_END), _Window(data_start or 0, None)
    digests: list[_Digest] = [whole, tree]
    if full:
        digests += [crc, v1, *([v3] if data_start else [])]
    if _feed(descriptor, path.name, size, digests, job) != size:
        raise FileError(f"{path} changed its size while it was read.", "Something else writes to it; try again later.")
    sha256 = whole.hexdigest()
    return Hashes(
        sha256=sha256,
        blake3=tree.hexdigest(),
        crc32=crc.hexdigest() if full else None,
        autov1=v1.digest.hexdigest()[:8] if full and size >= _AUTOV1_END else None,
        autov2=sha256[:10],
        autov3=v3.digest.hexdigest()[:12] if full and data_start and size > data_start else None,
    )


def _data_start(path: Path) -> int | None:
    """Where the data area of a safetensors file begins; None for every other file."""
    try:
        return read_header(path).data_start
    except ModelhubError:
        return None


def _feed(descriptor: int, name: str, size: int, digests: list[_Digest], job: Job) -> int:
    """Give the file to every digest, block by block, the next block read meanwhile; returns the bytes read."""
    done = 0
    buffers = [bytearray(_BLOCK), bytearray(_BLOCK)]
    with job.phase("hashing", size, "bytes") as advance, ThreadPoolExecutor(len(digests)) as pool:
        running: list[Future[object]] = []
        for buffer in cycle(buffers):
            count = os.preadv(descriptor, [buffer], done)
            for future in running:
                future.result()
            if count == 0:
                return done
            done += count
            view = memoryview(buffer)[:count]
            running = [pool.submit(digest.update, view) for digest in digests]
            advance(count, name)
    return done
