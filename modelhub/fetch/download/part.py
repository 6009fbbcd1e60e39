"""Part: the file that a download grows in, open and locked against every other process and thread."""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from modelhub.errors import FileError, file_error
from modelhub.fetch.download.locking import Busy, Lock, is_at
from modelhub.fetch.download.place import Place
from modelhub.formats.closing import Closing
from modelhub.formats.pump import put
from modelhub.jobs import QUIET, Job

#: Seconds between two looks at whether another process is done.
_LOOK = 0.1


class Part(Closing):
    """An open part, new or with the bytes that are there. `goal` is named in messages.

    Raises FileError, among them one for a part that another process is at, unless it is waited for.
    """

    def __init__(self, place: Place, goal: Path, *, wait: bool = False, job: Job = QUIET) -> None:
        self.place, self.path = place, place.part
        self.file, self._lock = _opened(place, goal, wait, job)

    @property
    def length(self) -> int:
        """Bytes that are there."""
        return os.fstat(self.file.fileno()).st_size

    def write(self, data: memoryview, at: int) -> None:
        """Write all of `data` to byte `at`. Raises OSError."""
        put(self.file.fileno(), data, at)

    def read(self, at: int, buffer: memoryview) -> int:
        """Read into `buffer` from byte `at` on; how many bytes there were. Raises OSError."""
        return os.preadv(self.file.fileno(), [buffer], at)

    def cut(self, length: int = 0) -> None:
        """Keep the first `length` bytes, durably: a state that is written afterwards never speaks of the others."""
        if self.length > length:
            os.ftruncate(self.file.fileno(), length)
            os.fsync(self.file.fileno())

    def remove(self) -> None:
        """Take its names away, if they are still its own; the file may have another by now. The lock stays."""
        with suppress(OSError):
            if is_at(self.file.fileno(), self.path):
                self.path.unlink()
        if not os.path.lexists(self.path):
            with suppress(OSError):
                self.place.state.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of file and lock."""
        self._lock.release()
        self.file.close()


def _opened(place: Place, goal: Path, wait: bool, job: Job) -> tuple[BinaryIO, Lock]:
    while True:
        try:
            found = _once(place)
        except Busy as busy:
            if not wait:
                raise _busy_error(goal, busy) from None
            job.check()
            time.sleep(_LOOK)
        except OSError as error:
            raise file_error(error, goal) from error
        else:
            if found:
                return found


def _once(place: Place) -> tuple[BinaryIO, Lock] | None:
    """The file and its lock; None if it was taken away in between."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(place.part, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except FileNotFoundError:  # another download that made the folder came to nothing, and took it away again
        place.part.parent.mkdir(parents=True, exist_ok=True)
        return None
    with ExitStack() as stack:
        file = stack.enter_context(os.fdopen(descriptor, "r+b", buffering=0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileError(f"{place.part} is no regular file.", "Remove it.")
        lock = Lock(descriptor, place.claim)
        if is_placed(os.fstat(descriptor)):
            place.part.unlink()
        if not is_at(descriptor, place.part):
            lock.release()
            return None
        stack.pop_all()
        return file, lock


def is_placed(found: os.stat_result) -> bool:
    """Whether a part has a second name: it was given its goal's, by a process that died then, and is the user's file.

    Nothing may be written to it any more.
    """
    return found.st_nlink > 1


def _busy_error(goal: Path, busy: Busy) -> FileError:
    if busy.claim is None:
        return FileError(f"{goal} is being downloaded already.", "Wait for the other download, or stop it.")
    hint = f"Wait for it; if none is running, delete {busy.claim}."
    return FileError(f"{goal} is being downloaded by another process.", hint)
