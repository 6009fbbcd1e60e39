"""Peek: what a file far away is, by the few bytes of its header, so that a plan knows where it belongs.

Advice only: whatever is odd, or would take more than two questions, is answered with None.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import CancelledError, CorruptFileError, ModelhubError
from modelhub.fetch.download.answer import Answer
from modelhub.fetch.net import Net
from modelhub.fetch.net.bodies import pieces
from modelhub.fetch.net.trouble import failures
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.gguf import header_of
from modelhub.formats.handle import Handle
from modelhub.formats.header import Header
from modelhub.formats.naming import shard_name
from modelhub.formats.safetensors import MAX_HEADER, parse_header
from modelhub.formats.sniff import sniff_bytes
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from requests import Response

#: Bytes of the first question: the header of an SDXL checkpoint has 0.4 million. Of the second for a GGUF file, whose
#: header does not tell how long it is.
_FIRST = 1 << 19
_GGUF = 1 << 23
_QUESTIONS = 2
#: That the answer to one may take: the download goes on without it.
_SECONDS = 20.0
#: Formats that are read; a file of no known format may be of one.
_FORMATS = ("safetensors", "gguf", None)


def peek(file: RemoteFile, provider: str, net: Net, job: Job = QUIET) -> Identity | None:
    """What `file` is, by its header; None for a pickle, a shard, or a server that gives no part of a file.

    Asks once or twice, and never again. Raises CancelledError and nothing else.
    """
    if file.format not in _FORMATS or shard_name(PurePosixPath(file.path or file.name).name):
        return None
    odd: tuple[type[Exception], ...] = (ModelhubError, *failures())
    try:
        return _identity(_Far(file, provider, net, job), file)
    except CancelledError:
        raise
    except odd:
        return None


def _identity(far: _Far, file: RemoteFile) -> Identity | None:
    form = sniff_bytes(bytes(far.front[:512]))
    if form == "safetensors":
        return identify(_safetensors(far), name=file.name)
    if form != "gguf":
        return None
    far.ahead = _GGUF
    return identify(header_of(far), name=file.name, form="gguf")


def _safetensors(far: _Far) -> Header:
    length = int.from_bytes(far.front[:8], "little")
    if length > min(MAX_HEADER, far.size - 8):
        raise CorruptFileError("The header is too long.")
    text = bytearray(length)
    far.fill(8, memoryview(text))
    return parse_header(bytes(text), far.size - 8 - length)


class _Far(Handle):
    """The front of a file far away: `fill` asks for what is missing, `ahead` bytes at once, once."""

    def __init__(self, file: RemoteFile, provider: str, net: Net, job: Job) -> None:
        self._file, self._provider, self._net, self._job = file, provider, net, job
        self.path = PurePosixPath(file.name)  # type: ignore[assignment]
        self.descriptor = -1
        self.ahead = 0
        self._asked = 0
        self._etag: str | None = None
        self.size = -1
        self.front = bytearray()
        self._more(_FIRST)

    def fill(self, position: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `position` on. Raises CorruptFileError for more than may be asked for."""
        end = position + len(buffer)
        if end > len(self.front):
            self._more(min(max(end, self.ahead), self.size))
        if end > len(self.front):
            raise CorruptFileError("The header is longer than it may be.")
        buffer[:] = self.front[position:end]

    def _more(self, stop: int) -> None:
        """Ask for what lies between the bytes that are here and `stop`."""
        self._asked += 1
        if self._asked > _QUESTIONS:
            raise CorruptFileError("The header takes too many questions.")
        start = len(self.front)
        wanted = {"Range": f"bytes={start}-{stop - 1}"}
        with self._net.open(
            self._file.url, headers=wanted, provider=self._provider, job=self._job, patient=False
        ) as response:
            count = self._check(response, start, stop)
            self.front += _read(response, count, self._job)

    def _check(self, response: Response, start: int, stop: int) -> int:
        """The bytes that follow. Raises CorruptFileError for another part, another file, or one in another form."""
        answer = Answer.of(response)
        if answer.status != 206 or answer.end is None or answer.total is None or answer.encoding:
            raise CorruptFileError("The server gives no parts of files.")
        same = self.size in (-1, answer.total) and (self._asked == 1 or answer.etag == self._etag)
        if answer.start != start or answer.end > stop or not same or not self._is_promised(answer.total):
            raise CorruptFileError("The server gives another part, or another file.")
        self.size, self._etag = answer.total, answer.etag
        return answer.end - start

    def _is_promised(self, size: int) -> bool:
        return self._file.exact_size in (None, size)


def _read(response: Response, count: int, job: Job) -> bytes:
    data = bytearray()
    for block in pieces(response, _SECONDS, decode=False):
        job.check()
        data += block
        if len(data) >= count:
            return bytes(data[:count])
    raise CorruptFileError("The server broke off.")
