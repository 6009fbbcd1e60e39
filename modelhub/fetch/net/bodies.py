"""Bodies: what a server answered, read whole but never without end, and as JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.errors import ProviderError
from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.redact import redacted
from modelhub.text import human_size

if TYPE_CHECKING:
    from requests import Response

#: Bytes of JSON that are read at most, of an error, and of what is only read so that a connection can be used again.
BODY = 64 * 1024 * 1024
ERROR = 64 * 1024
_REST = 64 * 1024
_BLOCK = 64 * 1024


class Body(NamedTuple):
    """A whole body: its bytes, its `Content-Type`, and the address, redacted, that it came from."""

    data: bytes
    kind: str
    url: str


def whole(response: Response, limit: int) -> Body:
    """The body of `response`. Raises ProviderError for more than `limit` bytes; what `trouble.failures()` names."""
    data = bytearray()
    for block in response.iter_content(_BLOCK):
        data += block
        if len(data) > limit:
            message = f"{title_of(response.url)} answered with more than {human_size(limit)} where data was expected."
            raise ProviderError(message, "Is the address right?")
    return Body(bytes(data), response.headers.get("Content-Type", ""), redacted(response.url))


def beginning(response: Response) -> str:
    """The first bytes of a body as text, as far as they come; the connection is closed."""
    from modelhub.fetch.net.trouble import failures

    data = bytearray()
    with suppress(*failures()):
        for block in response.iter_content(4096):
            data += block
            if len(data) >= ERROR:
                break
    response.close()
    return bytes(data[:ERROR]).decode("utf-8", "replace")


def let_go(response: Response) -> None:
    """Give the connection of an answer that nobody reads to the next question; close it if much is still to come."""
    from modelhub.fetch.net.trouble import failures

    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= _REST:
        with suppress(*failures()):
            response.raw.read(int(length) or None)
    response.close()


def json_of(body: Body) -> Any:
    """`body` as JSON. Raises ProviderError for anything else."""
    with suppress(ValueError, RecursionError):
        return json.loads(body.data)
    what = "something that is not JSON"
    if "html" in body.kind.lower() or body.data.lstrip()[:1] == b"<":
        what = "a web page"
    elif not body.data.strip():
        what = "nothing"
    message = f"{title_of(body.url)} answered with {what} where data was expected, at {body.url}."
    raise ProviderError(message, "Is the address right, and no login page of a network in between? Try again later.")
