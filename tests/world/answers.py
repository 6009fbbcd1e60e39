"""What is asked and what is answered: one record of each, whichever site it is."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from world.line import Line

PIECE = 1 << 16
MODIFIED = "Wed, 21 Oct 2026 07:28:00 GMT"


@dataclass(slots=True)
class Asked:
    """One request as it came in: `site` is civitai, hub or storage, `path` is decoded, `headers` ignore upper case.

    `query` has the last value of each name, `pairs` all of them. `status` and `sent` (bytes of the body) are filled in
    as it is answered; `fault` names what was made to go wrong.
    """

    site: str
    host: str
    port: int
    method: str
    target: str
    headers: Message
    body: bytes = b""
    status: int = 0
    fault: str = ""
    line: Line | None = None
    answered: threading.Event = field(default_factory=threading.Event)

    @property
    def sent(self) -> int:
        """A client may have all of it before the server has counted it, so this waits a moment for the server."""
        self.answered.wait(1)
        return self.line.sent if self.line else 0

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def raw_path(self) -> str:
        return urlsplit(self.target).path

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.site} {self.target}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site says: `body` is bytes or the path of a large file, of which `start` to `stop` are sent.

    `ranged`: parts of it can be asked for, with `etag` and `modified` to name what they are parts of.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    ranged: bool = False
    start: int = 0
    stop: int | None = None

    @property
    def total(self) -> int:
        return self.body.stat().st_size if isinstance(self.body, Path) else len(self.body)

    @property
    def end(self) -> int:
        return self.total if self.stop is None else self.stop

    def pieces(self) -> Iterator[bytes]:
        """The bytes to send, some at a time."""
        if isinstance(self.body, bytes):
            for at in range(self.start, self.end, PIECE):
                yield self.body[at : min(at + PIECE, self.end)]
            return
        with self.body.open("rb") as file:
            file.seek(self.start)
            left = self.end - self.start
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece

    def with_headers(self, **headers: str | None) -> Answer:
        """The same with other headers, named with `_` for `-`; None takes one away."""
        changed = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return replace(self, headers={name: value for name, value in changed.items() if value is not None})


def said(value: Any, status: int = 200, **headers: str) -> Answer:
    """JSON."""
    return Answer(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode()).with_headers(
        **headers
    )


def page(html: str, status: int = 200) -> Answer:
    """A page for people."""
    text = f"<!DOCTYPE html>\n<html><head><title>{html}</title></head><body><h1>{html}</h1></body></html>\n"
    return Answer(status, {"Content-Type": "text/html; charset=utf-8"}, text.encode())


def moved(to: str, status: int = 302, **headers: str) -> Answer:
    """A redirect."""
    return Answer(status, {"Location": to, "Content-Type": "text/plain"}, f"Redirecting to {to}".encode()).with_headers(
        **headers
    )


def file_answer(data: bytes | Path, etag: str | None = None, **headers: str) -> Answer:
    """A file that can be had in parts."""
    if etag is None:
        etag = f'"{hashlib.md5(data).hexdigest()}"' if isinstance(data, bytes) else f'"{data.stat().st_mtime_ns:x}"'
    shown = {
        "Content-Type": "application/octet-stream",
        "ETag": etag,
        "Last-Modified": MODIFIED,
        "Accept-Ranges": "bytes",
    }
    return Answer(200, shown, data, ranged=True).with_headers(**headers)


def in_part(answer: Answer, asked: Asked) -> Answer:
    """The part that a `Range` header asks for, as RFC 9110 has it: 206, 416, or all where `If-Range` no longer fits."""
    wanted = asked.headers.get("Range", "")
    if not answer.ranged or answer.status != 200 or not wanted.startswith("bytes=") or "," in wanted:
        return answer
    unchanged = asked.headers.get("If-Range")
    if unchanged and unchanged not in (answer.headers.get("ETag"), answer.headers.get("Last-Modified")):
        return answer
    if unchanged and unchanged.startswith("W/"):
        return answer
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    total = answer.total
    if not (first + last).isdigit():
        return answer
    start = int(first) if first else max(0, total - int(last))
    stop = min(total, int(last) + 1) if first and last else total
    if start >= total or start >= stop:
        return Answer(
            416, {"Content-Range": f"bytes */{total}", "Content-Type": "text/plain"}, b"range not satisfiable"
        )
    shown = {**answer.headers, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    return replace(answer, status=206, headers=shown, start=start, stop=stop)
