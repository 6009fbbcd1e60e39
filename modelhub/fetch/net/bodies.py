"""Bodies: what a server answered, read whole but never without end, and as JSON."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.errors import ProviderError, UnreachableError
from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.net.trouble import failures
from modelhub.text import human_size

if TYPE_CHECKING:
    from requests import Response

#: Bytes of JSON that are read at most, of an error, and of what is only read so that a connection can be used again.
BODY = 64 * 1024 * 1024
ERROR = 64 * 1024
_REST = 64 * 1024
_BLOCK = 64 * 1024
#: Seconds that a body may take in all: one that is read whole, and one of which only what comes at once is of use.
LONG, SHORT = 120.0, 5.0
#: Lists and tables in one another: nobody's answer has more, and what walks through them would run out of stack.
_DEEP = 64


class Body(NamedTuple):
    """A whole body: its bytes, its `Content-Type`, and the address, redacted, that it came from."""

    data: bytes
    kind: str
    url: str


def whole(response: Response, limit: int) -> Body:
    """The body of `response`. Raises ProviderError for more than `limit` bytes; what `trouble.failures()` names."""
    data = bytearray()
    for block in pieces(response, LONG):
        data += block
        if len(data) > limit:
            message = f"{title_of(response.url)} answered with more than {human_size(limit)} where data was expected."
            raise ProviderError(message, "Is the address right?")
    return Body(bytes(data), response.headers.get("Content-Type", ""), redacted(response.url))


def pieces(response: Response, seconds: float, size: int = _BLOCK, *, decode: bool = True) -> Iterator[bytes]:
    """The bytes of a body as they come, `size` at most at once, unpacked if `decode` says so.

    Raises UnreachableError when all of it takes longer than `seconds`, however steadily it trickles: asking again
    would take as long; what `trouble.failures()` names.
    """
    end, line = time.monotonic() + seconds, line_of(response.raw)
    while (left := end - time.monotonic()) > 0:
        if line is not None:
            line.settimeout(min(left, line.gettimeout() or left))
        try:
            data = response.raw.read1(size, decode_content=decode)
        except failures():
            if time.monotonic() < end:
                raise
            break
        if not data:
            return
        yield data
    raise UnreachableError(f"{title_of(response.url)} took too long to answer.", "Try again later.")


def line_of(raw: Any) -> socket.socket | None:
    """The socket under an answer's `raw`; None where the library keeps it. Each request sets its timeout anew."""
    answer = getattr(raw, "_fp", None)
    found = getattr(getattr(getattr(answer, "fp", None), "raw", None), "_sock", None)
    return found if isinstance(found, socket.socket) else None


def beginning(response: Response) -> str:
    """The first bytes of a body as text, as far as they come soon; the connection is closed."""
    data = bytearray()
    with suppress(*failures(), UnreachableError):
        for block in pieces(response, SHORT):
            data += block
            if len(data) >= ERROR:
                break
    response.close()
    return bytes(data[:ERROR]).decode("utf-8", "replace")


def let_go(response: Response) -> None:
    """Give the connection of an answer that nobody reads to the next question; close it if much is still to come."""
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= _REST:
        with suppress(*failures(), UnreachableError):
            for _ in pieces(response, SHORT, decode=False):
                pass
    response.close()


def json_of(body: Body) -> Any:
    """`body` as JSON, as other programs can read it, too. Raises ProviderError for anything else."""
    with suppress(ValueError, RecursionError):
        found = json.loads(body.data, parse_float=_number, parse_constant=_number)
        if not is_deep(found):
            return found
    what = "something that is not JSON"
    if "html" in body.kind.lower() or body.data.lstrip()[:1] == b"<":
        what = "a web page"
    elif not body.data.strip():
        what = "nothing"
    message = f"{title_of(body.url)} answered with {what} where data was expected, at {body.url}."
    raise ProviderError(message, "Is the address right, and no login page of a network in between? Try again later.")


def is_deep(value: Any) -> bool:
    """Whether lists and tables are in one another more often than in any answer that means something."""
    level = [value]
    for _ in range(_DEEP):
        level = [inner for one in level if isinstance(one, list | dict) for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _number(text: str) -> float | None:
    """A number; None for NaN and for those that no computer can hold, such as 1e999, which are no JSON once written."""
    found = float(text)
    return found if math.isfinite(found) else None
