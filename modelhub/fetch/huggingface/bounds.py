"""Bounds: what the library reads of an answer to us ends at some size and after some time; by itself it reads all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

from modelhub import __version__
from modelhub.fetch.net.bodies import BODY, LONG

if TYPE_CHECKING:
    from httpx2 import Request, Response

#: Small packed answers unpack to more than memory holds, so they are asked for as they are.
PLAIN = {"Accept-Encoding": "identity"}


def bound() -> None:
    """Have the library's connections bounded, those of ours and no other's."""
    from huggingface_hub import get_session

    hooks = get_session().event_hooks
    if _limited not in hooks["response"]:
        hooks["response"].append(_limited)


def _limited(response: Response) -> None:
    """Put a bounded stream in place of the body of an answer to us. Raises DecodingError for a packed one."""
    if not _is_ours(response.request):
        return
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise httpx2.DecodingError("packed", request=response.request)
    response.stream = _Bounded(response.stream)  # type: ignore[arg-type]


def _is_ours(request: Request) -> bool:
    return f"modelhub/{__version__}" in request.headers.get("User-Agent", "")


class _Bounded(httpx2.SyncByteStream):
    """A body of so many bytes and seconds at most."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream, self._end = stream, time.monotonic() + LONG

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        for block in self._stream:
            count += len(block)
            if count > BODY or time.monotonic() > self._end:
                raise httpx2.DecodingError("without end")
            yield block

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()
