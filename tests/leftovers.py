"""What work must not leave behind: threads and processes that it started, files that it opened.

They are looked at one by one and not counted, since what an earlier test left may end in the middle of a later one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DESCRIPTORS = Path("/proc/self/fd")
needs_descriptors = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="open files are read from /proc")


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Of the threads that are started inside, none runs at the end."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def files_open_below(folder: Path) -> list[Path]:
    """The files of `folder` that this process holds open, one for each descriptor; `folder` may be a file itself."""
    found = []
    for descriptor in DESCRIPTORS.iterdir():
        try:
            path = descriptor.readlink()
        except OSError:  # closed by now
            continue
        if path.is_relative_to(folder.resolve()):
            found.append(path)
    return found


def gone(process: int, seconds: float = 60) -> bool:
    """Whether a process ends within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].startswith("Z"):
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False
