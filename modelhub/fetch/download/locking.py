"""Locks between processes: with flock where the file system has it, else with a file that only one can create."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from modelhub.errors import FileError, VanishedError
from modelhub.formats.handle import read_bounded

try:
    import fcntl
except ImportError:  # Windows
    _CAN_LOCK = False
else:
    _CAN_LOCK = True


class Busy(Exception):  # noqa: N818 (it is no error to whoever waits)
    """Somebody else has the lock; `claim` is the file that says so, None where the lock ends with its process."""

    def __init__(self, claim: Path | None = None) -> None:
        super().__init__()
        self.claim = claim


class Lock:
    """The lock of a file that is open already; `claim` is the path of the lock file where flock does not work.

    A lock file tells computer and process. That of a process of this computer that is gone is taken over; all else
    about it is for a person to decide, who deletes it. Raises Busy, OSError.
    """

    def __init__(self, descriptor: int, claim: Path) -> None:
        self._claim: Path | None = None
        if not _flocked(descriptor):
            _claimed(claim)
            self._claim = claim

    def release(self) -> None:
        """Let others have it; a lock by flock goes with the descriptor."""
        if self._claim is not None:
            with suppress(OSError):
                self._claim.unlink()
            self._claim = None


def is_at(descriptor: int, path: Path) -> bool:
    """Whether `path`, a link or not, is a name of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _flocked(descriptor: int) -> bool:
    """Whether the file is locked now; False where that cannot be done."""
    if not _CAN_LOCK:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy from None
    except OSError:
        return False
    return True


def _claimed(claim: Path) -> None:
    for _ in range(2):
        try:
            descriptor = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            try:
                if not _is_stale(claim):
                    raise Busy(claim) from None
                claim.unlink()
            except (VanishedError, FileNotFoundError):  # its holder took it away just now
                pass
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"computer": platform.node(), "process": os.getpid()}, file)
        return
    raise Busy(claim)


def _is_stale(claim: Path) -> bool:
    """Whether the process that made a lock file ran on this computer and is gone. Raises VanishedError."""
    try:
        made = json.loads(read_bounded(claim, 4096)[1])
        computer, process = made["computer"], int(made["process"])
    except VanishedError:
        raise
    except (ValueError, TypeError, KeyError, FileError):
        return False
    return computer == platform.node() and os.name == "posix" and not _runs(process)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
