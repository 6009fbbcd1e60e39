"""Body: the bytes of an answer as they come, received straight into buffers of the caller's.

Where the length is known they are taken from the socket itself: nothing is copied twice. Other bodies (chunks, no
length) go through the library that reads them.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from modelhub.fetch.net.bodies import line_of
from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.trouble import failures, trouble_of
from modelhub.jobs import Job

if TYPE_CHECKING:
    from requests import Response


#: Seconds between two looks at whether the job was cancelled.
_LOOK = 0.25


class BrokenOff(Exception):  # noqa: N818 (it is no error while asking again helps)
    """An answer that ended before its end, or stands still; its text says how, in a full sentence."""


class Body:
    """The body of an answer, `left` bytes of it, None where its length is not known. Never more than that is received.

    `patience` is how many seconds may pass without a byte.
    """

    def __init__(self, response: Response, left: int | None, patience: float, job: Job) -> None:
        self._raw: Any = response.raw
        self._url = response.url
        self._left, self._patience, self._job = left, patience, job
        self._step = min(_LOOK, patience)
        self._socket = _socket_of(response.raw) if left is not None else None
        self._begun = False

    def read(self, view: memoryview) -> int:
        """Receive into `view`, as much as there is; 0 at the end. Raises BrokenOff, CancelledError."""
        self._job.check()
        if self._left == 0:
            return 0
        count = self._receive(view if self._left is None else view[: self._left])
        if self._left is not None:
            if count == 0:
                self._job.check()
                raise BrokenOff(f"{title_of(self._url)} ended the connection {self._left:,} bytes before the end.")
            self._left -= count
        return count

    def first(self, size: int) -> tuple[bytes, BrokenOff | None]:
        """The first `size` bytes, or as many as there are; and how it broke off, if it did before."""
        view, done = memoryview(bytearray(size)), 0
        try:
            while done < size and (count := self.read(view[done:])):
                done += count
        except BrokenOff as broken:
            return bytes(view[:done]), broken
        return bytes(view[:done]), None

    def _receive(self, view: memoryview) -> int:
        try:
            if self._socket is None:
                return self._through_library(view)
            if not self._begun and (count := self._buffered(view, self._socket)):
                return count
            return self._from_socket(view, self._socket)
        except failures() as error:
            self._job.check()  # the connections of a cancelled job are cut
            raise BrokenOff(trouble_of(error, self._url).error.message) from None

    def _through_library(self, view: memoryview) -> int:
        data = self._raw.read1(len(view), decode_content=False) or b""
        view[: len(data)] = data
        return len(data)

    def _buffered(self, view: memoryview, line: socket.socket) -> int:
        """What came along with the headers; 0 when that is used up."""
        line.settimeout(0)
        data = b""
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            data = self._raw._fp.fp.read1(len(view)) or b""
        self._begun = len(data) < len(view)
        line.settimeout(self._step)
        view[: len(data)] = data
        return len(data)

    def _from_socket(self, view: memoryview, line: socket.socket) -> int:
        """Not every line that stands still can be cut from elsewhere when the job is cancelled: it looks up itself."""
        waited = 0.0
        while True:
            try:
                return line.recv_into(view)
            except TimeoutError:
                self._job.check()
                waited += self._step
                if waited >= self._patience:
                    raise


def _socket_of(raw: Any) -> socket.socket | None:
    """The socket under an answer whose body comes as it is; None where the library keeps it to itself."""
    return None if getattr(getattr(raw, "_fp", None), "chunked", True) else line_of(raw)
