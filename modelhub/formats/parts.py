"""Parts: files that grow under a temporary name beside their goal; those that dead processes left are removed.

A part is locked for as long as its process lives, and its name tells the computer that made it. So one of this computer
that can be locked is nobody's any more.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where nothing is removed
    _CAN_LOCK = False
else:
    _CAN_LOCK = True


@contextmanager
def growing(goal: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `goal` and its name; closed at the end, and removed unless it was renamed. Raises OSError."""
    part, file, lock = _new(goal)
    try:
        with file:
            yield part, file
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if lock >= 0:
            os.close(lock)


def sweep(folder: Path) -> list[Path]:
    """Remove the parts in `folder` whose processes are dead, as far as that can be told; returns their old paths."""
    if not _CAN_LOCK:
        return []
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _is_ours(entry.name)]
    except OSError:
        return []
    return [part for part in found if _removed(part)]


def _is_ours(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part") and name.rpartition(".")[0].rpartition(".")[2][:7] == _mark()


@cache
def _mark() -> str:
    """What the names of parts of this computer have in common, 7 characters."""
    return hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:6] + "-"


def _new(goal: Path) -> tuple[Path, BinaryIO, int]:
    """A part, the file, and a descriptor that keeps the lock when the file is closed; -1 for a part without a lock."""
    while _CAN_LOCK:
        part, file = _made(goal, _mark())
        lock = _locked(file)
        if lock is not None and os.fstat(lock).st_nlink:
            return part, file, lock
        file.close()
        if lock is None:  # no file system for locks: a name that is never swept
            part.unlink()
            break
        os.close(lock)  # swept by another process before it was locked: once more
    return *_made(goal, ""), -1


def _made(goal: Path, mark: str) -> tuple[Path, BinaryIO]:
    part = goal.with_name(f".{goal.stem[:40]}.{mark}{secrets.token_hex(6)}.part")
    return part, part.open("xb", buffering=0)


def _locked(file: BinaryIO) -> int | None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        return os.dup(file.fileno())
    except OSError:
        return None


def _removed(part: Path) -> bool:
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
