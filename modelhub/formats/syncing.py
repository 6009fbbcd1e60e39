"""Get a growing file onto the disk while it grows, so that little is left to wait for at its end."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import BinaryIO

from modelhub.formats.closing import Closing

#: Bytes that are written before the disk is told to take them.
STEP = 1 << 26


class Syncing(Closing):
    """Syncs a file again and again on a thread of its own, each time after `STEP` more bytes.

    A disk reports an error once, to whoever syncs first: what this thread was told is raised by `wrote` or `finish`.
    `keep`: what was written is wanted even if it was never finished.
    """

    def __init__(self, file: BinaryIO, *, keep: bool = False) -> None:
        self._file, self._keep, self._since, self._ended = file, keep, 0, False
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def wrote(self, size: int) -> None:
        """`size` more bytes were written. Raises OSError when the disk did not take those before."""
        self._since += size
        if self._since >= STEP:
            self._since = 0
            self._thread = self._thread or self._start()
            self.hasten()

    def hasten(self) -> None:
        """Nothing more will be written: sync what is left, if there was much of it, while other things are done."""
        if self._error:
            raise self._error
        self._due.set()

    def finish(self) -> None:
        """Wait until everything is on the disk. Raises OSError for what is not."""
        self._stop()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Stop, and unless it was finished, empty the file: a slow disk need not take what nobody wants any more."""
        if not self._ended:
            if not self._keep:
                with suppress(OSError):
                    os.ftruncate(self._file.fileno(), 0)
            with suppress(OSError):
                self._stop()

    def _stop(self) -> None:
        self._ended = True
        self._due.set()
        if self._thread:
            self._thread.join()
        if self._error:
            raise self._error

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="sync", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        while self._wait():
            try:
                sync(self._file.fileno())
            except OSError as error:
                self._error = error

    def _wait(self) -> bool:
        """Wait until there is something to sync; False when there will be nothing more."""
        self._due.wait()
        self._due.clear()
        return not self._ended and self._error is None
