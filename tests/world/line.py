"""One connection as a fault sees it: bytes go out, or it waits, or it breaks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path


class Line:
    """A connection; `ended` is set when the world ends, so that no fault outlasts it."""

    def __init__(self, connection: socket.socket, incoming: BufferedIOBase, ended: threading.Event) -> None:
        self._connection, self._incoming, self._ended = connection, incoming, ended
        self.open = True
        self.sent = 0

    def send(self, data: bytes) -> None:
        """Send all of it; after the other side has gone there is nothing to do."""
        if self.open and data:
            with self._until_they_leave():
                self._connection.sendall(data)
                self.sent += len(data)

    def send_file(self, path: Path, start: int, stop: int) -> None:
        """Send a part of a file without reading it here, as fast as the machine can."""
        at = start
        with path.open("rb") as file, self._until_they_leave():
            while at < stop and (count := os.sendfile(self._connection.fileno(), file.fileno(), at, stop - at)):
                at += count
                self.sent += count

    @contextlib.contextmanager
    def _until_they_leave(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.open = False

    def wait(self, seconds: float, until: threading.Event | None = None) -> None:
        """Wait that long or until the event, but not longer than the world lasts or the other side stays."""
        end = time.monotonic() + seconds
        while self.open and (left := end - time.monotonic()) > 0 and not (until and until.is_set()):
            if self._ended.wait(min(left, 0.05)) or self._other_side_left():
                self.open = False

    def close(self) -> None:
        """End as a server does that has said all."""
        self.open = False
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break with a reset, once all that was sent has left this machine's buffers."""
        self._drain()
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._incoming.close()
        self._connection.close()
        self.open = False

    def _drain(self) -> None:
        until = time.monotonic() + 5
        with contextlib.suppress(OSError):
            while self.open and time.monotonic() < until:
                if not struct.unpack("i", fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0" * 4))[0]:
                    return
                time.sleep(0.001)

    def _other_side_left(self) -> bool:
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
