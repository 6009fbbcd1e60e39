"""Answer: what the status and headers of an answer say of the file and of the bytes that follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from modelhub.fetch.names.served import disposition_name
from modelhub.fetch.net.endpoints import host_of
from modelhub.fetch.net.redact import redacted

if TYPE_CHECKING:
    from requests import Response

_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)
_NO_RANGE = re.compile(r"bytes\s+\*/(\d{1,18})", re.ASCII | re.IGNORECASE)
_ENTITY_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
#: What servers write for bytes that are as they are.
_PLAIN = frozenset({"", "identity", "none", "binary", "aws-chunked"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with bytes.

    They are those from `start` up to `end` of a file of `total` bytes; None for what was not said, a `start` of None
    for a part that does not say which. `etag` and `modified` only where they tell one content from another. `kind` is
    the Content-Type without parameters, `encoding` the compression, "" for none. `served`: the name of the file.
    """

    status: int
    start: int | None
    end: int | None
    total: int | None
    etag: str | None
    modified: str | None
    kind: str
    encoding: str
    served: str | None
    url: str
    host: str

    @classmethod
    def of(cls, response: Response) -> Answer:
        """What the headers of `response` say."""
        headers = response.headers
        start, end, total = _bounds(response.status_code, headers)
        encoding = headers.get("Content-Encoding", "").strip().lower()
        return cls(
            response.status_code,
            start,
            end,
            total,
            strong_etag(headers),
            strong_date(headers),
            headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            "" if encoding in _PLAIN else encoding,
            disposition_name(headers.get("Content-Disposition", "")),
            redacted(response.url),
            host_of(response.url),
        )

    @property
    def size(self) -> int | None:
        """Bytes that follow."""
        return None if self.end is None or self.start is None else self.end - self.start


def _bounds(status: int, headers: Mapping[str, str]) -> tuple[int | None, int | None, int | None]:
    """Where the bytes begin and end, and of how many in all."""
    if status != 206:
        length = None if "chunked" in headers.get("Transfer-Encoding", "").lower() else content_length(headers)
        return 0, length, length
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return None, None, None
    start, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if last < start or (total is not None and last >= total):
        return None, None, None
    return start, last + 1, total


def content_length(headers: Mapping[str, str]) -> int | None:
    """The number in Content-Length."""
    text = headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def total_of_refusal(headers: Mapping[str, str]) -> int | None:
    """The size of a file that has no such part, as a 416 tells it."""
    found = _NO_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The ETag, unless it is weak: then equal ones do not mean equal bytes."""
    text = headers.get("ETag", "").strip()
    return text if _ENTITY_TAG.fullmatch(text) and len(text) < 1000 else None


def strong_date(headers: Mapping[str, str]) -> str | None:
    """The Last-Modified, unless the file was written in the very second of the answer, and so perhaps once more."""
    text = headers.get("Last-Modified", "").strip()
    try:
        modified = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(headers.get("Date") or text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return text if len(text) < 100 and (now - modified >= 1 or "Date" not in headers) else None
