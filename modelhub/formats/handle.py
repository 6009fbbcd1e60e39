"""Open files: only regular ones, read at positions, from any thread."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, NotAModelError, file_error
from modelhub.formats.closing import Closing


def open_regular(path: str | Path) -> int:
    """A descriptor to read a file by; the caller closes it. Never waits, as opening a named pipe would.

    Raises NotAModelError for a device or a pipe, FileError for what cannot be opened, be it for its very name.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise file_error(error, path) from error
    except ValueError as error:
        raise FileError(f"{str(path)!r} cannot be the name of a file: {error}.", "Check the path.") from error
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise FileError(f"{path} is a folder, not a file.", "Name a file.")
    raise NotAModelError(f"{path} is a device, a pipe or a socket.", "Name a regular file.")


def read_bounded(path: str | Path, most: int) -> tuple[int, bytes]:
    """The size of a file, and all its bytes if there are no more than `most`, else none. Raises as `open_regular`."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(most + 1) if size <= most else b""
    except OSError as error:
        raise file_error(error, path) from error
    size = max(size, len(data))
    return size, data if size <= most else b""


def fill_from(descriptor: int, path: str | Path, position: int, buffer: memoryview) -> None:
    """Fill `buffer` from byte `position` of an open file on; `path` is its name in messages. Raises FileError."""
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(descriptor, (buffer[done:] if done else buffer,), position + done)
        except OSError as error:
            raise file_error(error, path) from error
        if count == 0:
            raise CorruptFileError(f"{path} became shorter while it was read.", "Something else writes to it.")
        done += count


class Handle(Closing):
    """An open file that many stretches share; once it is closed, none of them can be read any more."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.descriptor = open_regular(path)
        self.size = os.fstat(self.descriptor).st_size

    def fill(self, position: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `position` on; safe from several threads. Raises FileError."""
        fill_from(self.descriptor, self.path, position, buffer)

    def length(self) -> int:
        """Bytes that the file has by now."""
        return os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
