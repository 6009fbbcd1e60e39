"""Hashes of a file while it grows: read back behind the writers, who need not keep to any order."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.formats.closing import Closing
from modelhub.formats.handle import Handle

if TYPE_CHECKING:
    from hashlib import _Hash

#: Bytes that are hashed at a time; they stay in a cache.
_BLOCK = 1 << 19


class Following(Closing):
    """The SHA256 of a whole file and of its data area, each on a thread of its own.

    `start` bytes, the header, stand in the file already; `size` it will have in all.
    """

    def __init__(self, part: Path, start: int, size: int) -> None:
        self._file, self._size = Handle(part), size
        self._front, self._ahead = start, dict[int, int]()
        self._moved = threading.Condition()
        self._stopped = False
        self._pool = ThreadPoolExecutor(2, "hash")
        self._hashed = [self._pool.submit(self._follow, hashlib.sha256(), begin) for begin in (0, start)]

    def wrote(self, at: int, size: int) -> None:
        """`size` bytes stand at byte `at`; every byte is told once, in any order."""
        with self._moved:
            self._ahead[at] = at + size
            if at == self._front:
                while (end := self._ahead.pop(self._front, None)) is not None:
                    self._front = end
                self._moved.notify_all()

    def finish(self) -> tuple[str, str]:
        """The hashes, once everything was written. Raises FileError for what cannot be read back."""
        whole, data = (future.result() for future in self._hashed)
        return whole, data

    def close(self) -> None:
        """Stop, and close the file."""
        with self._moved:
            self._stopped = True
            self._moved.notify_all()
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def _follow(self, digest: _Hash, position: int) -> str:
        buffer = memoryview(bytearray(_BLOCK))
        while position < self._size and (front := self._wait(position)) > position:
            view = buffer[: min(_BLOCK, front - position)]
            self._file.fill(position, view)
            digest.update(view)
            position += len(view)
        return digest.hexdigest()

    def _wait(self, position: int) -> int:
        """Where the written part of the file ends, once that is beyond `position`; not beyond it when all is off."""
        with self._moved:
            while self._front <= position and not self._stopped:
                self._moved.wait()
            return self._front if not self._stopped else position
