"""Locks of rows: who runs a download holds its lock, which ends with the process; so a row left running is told."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from modelhub.errors import file_error
from modelhub.fetch.download.locking import Busy, Lock, is_at
from modelhub.formats.closing import Closing


class RowLock(Closing):
    """The lock of one row of the queue, held until it is closed."""

    def __init__(self, path: Path, descriptor: int, lock: Lock) -> None:
        self._path, self._descriptor, self._lock = path, descriptor, lock

    def close(self) -> None:
        """Let others have it; its file goes while it is still held."""
        with suppress(OSError):
            _mark(self._path).unlink()
        with suppress(OSError):
            self._path.unlink()
        self._lock.release()
        with suppress(OSError):
            os.close(self._descriptor)


def lock_row(home: Path, number: int) -> RowLock | None:
    """The lock of a row, None if somebody runs it: another process, or another thread of this one. Raises FileError."""
    path = _path(home, number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            lock = _locked(descriptor, path)
            if lock is None:
                return None
            if is_at(descriptor, path):
                return RowLock(path, descriptor, lock)
            lock.release()  # its last holder took the name away in between: once more
            os.close(descriptor)
    except OSError as error:
        raise file_error(error, path) from error


def ask_to_keep(home: Path, number: int) -> None:
    """Have whoever runs a row keep what came of it, when it is removed; to be asked before that. Raises FileError."""
    path = _mark(_path(home, number))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise file_error(error, path) from error


def is_to_keep(home: Path, number: int) -> bool:
    """Whether somebody asked for that; it is forgotten when the lock of the row is closed."""
    return _mark(_path(home, number)).exists()


def _path(home: Path, number: int) -> Path:
    return home / "cache" / "downloads" / f"{number}.lock"


def _mark(path: Path) -> Path:
    return path.with_suffix(".keep")


def _locked(descriptor: int, path: Path) -> Lock | None:
    try:
        return Lock(descriptor, path.with_suffix(".claim"))
    except Busy:
        os.close(descriptor)
        return None
