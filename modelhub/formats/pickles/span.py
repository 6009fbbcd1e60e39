"""Stretches of files: where bytes stand, read only when somebody asks for them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Protocol

from modelhub.errors import FileError, NoSpaceError, file_error
from modelhub.formats.closing import Closing
from modelhub.formats.handle import Handle

#: Bytes that are written without looking for room first.
_SMALL = 1 << 20


class Spool(Closing):
    """A temporary file without a name, for what has to be unpacked; it holds at most `limit` bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self._left, self._used = path, limit, 0
        self._file: IO[bytes] | None = None
        self._lock = Lock()

    def keep(self, pieces: Iterable[bytes], most: int) -> Span:
        """Write `pieces`, at most `most` bytes in all. Raises FileError for more, NoSpaceError for a disk without room.

        That is looked at before a byte is written: a full disk for temporary files hurts other programs, too.
        """
        with self._lock:
            begin = self._used
            self._check_room(most)
            for piece in pieces:
                self._allow(len(piece), most - (self._used - begin))
                self._write(piece)
            return Span(self, begin, self._used - begin)

    def _allow(self, size: int, most: int) -> None:
        if size > min(most, self._left):
            raise FileError(
                f"{self.path} unpacks to more than a file of its size may hold.", "It may be made to fill the disk."
            )
        self._left -= size

    def _write(self, piece: bytes) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed in close)
            while piece:
                done = os.pwrite(self._file.fileno(), piece, self._used)
                self._used, piece = self._used + done, piece[done:]
        except OSError as error:
            raise self._failed(error) from error

    def _check_room(self, size: int) -> None:
        try:
            if size > _SMALL and shutil.disk_usage(tempfile.gettempdir()).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> FileError:
        where = tempfile.tempdir or "the folder for temporary files"
        failure = file_error(error, str(where))
        if not isinstance(failure, NoSpaceError):
            return failure
        return NoSpaceError(
            f"{self.path} is packed, and the disk of {where} has no room to unpack it.",
            "Free some space there, or set TMPDIR to a folder on a larger disk.",
        )

    def fill(self, position: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `position` on; safe from several threads. Raises FileError after `close`."""
        if not len(buffer):
            return
        if self._file is None:
            raise FileError(f"{self.path} is closed already.", "Open it again.")
        try:
            count = os.preadv(self._file.fileno(), [buffer], position)
        except OSError as error:
            raise self._failed(error) from error
        if count < len(buffer):
            raise FileError("The temporary file became shorter while it was read.", "Something else writes to it.")

    def close(self) -> None:
        """Drop the file; closing twice is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Data(Protocol):
    """Bytes of a known size that may have to be unpacked before they are read."""

    @property
    def size(self) -> int:
        """Bytes."""

    def span(self) -> Span:
        """Where the bytes stand, unpacked if need be."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """`size` bytes of a file from byte `begin` on; `crc` is the CRC-32 that an archive gives them, 0 for none."""

    file: Handle | Spool
    begin: int
    size: int
    crc: int = 0

    def span(self) -> Span:
        """Itself: nothing has to be unpacked."""
        return self

    @property
    def descriptor(self) -> int | None:
        """The file that the bytes stand in, by its descriptor; None for a temporary one, and for one that is closed."""
        return self.file.descriptor if isinstance(self.file, Handle) and self.file.descriptor >= 0 else None

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; fewer at the end of the span."""
        out = bytearray(max(0, min(size, self.size - offset)))
        self.file.fill(self.begin + offset, memoryview(out))
        return bytes(out)

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `offset` of the span on, which must hold that many bytes."""
        if offset < 0 or offset + len(buffer) > self.size:
            raise IndexError(f"bytes {offset} to {offset + len(buffer)} of {self.size}")
        self.file.fill(self.begin + offset, buffer)

    def part(self, offset: int, size: int | None = None) -> Span:
        """The bytes from `offset` on, `size` of them or all; must lie inside."""
        size = self.size - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > self.size:
            raise IndexError(f"bytes {offset} to {offset + size} of {self.size}")
        return Span(self.file, self.begin + offset, size)
