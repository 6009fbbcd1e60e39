"""What can go wrong on a line or at a server, each as a `Fault` that a test lays on some requests."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from world.answers import Answer, Asked, file_answer, moved, page, said
from world.line import Line

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """`before` changes the whole answer, `after` what is left of it once a range is cut out, `write` sends its body."""

    name: str
    before: Callable[[Answer, Asked], Answer] | None = None
    after: Callable[[Answer, Asked], Answer] | None = None
    write: Callable[[Line, Answer], None] | None = None

    def __str__(self) -> str:
        return self.name


def drop(after: int, reset: bool = True) -> Fault:
    """The line breaks after so many bytes of the body: with a reset, else as if the file had ended."""

    def write(line: Line, answer: Answer) -> None:
        left = after
        for piece in answer.pieces():
            line.send(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        line.reset() if reset else line.close()

    return Fault(f"dropped after {after}", write=write)


def refuse() -> Fault:
    """The line breaks before the first byte of an answer."""
    return Fault("reset at once", before=lambda answer, asked: Answer(0))


def slow(bytes_per_second: int, piece: int = 4096) -> Fault:
    """The body comes so slowly."""

    def write(line: Line, answer: Answer) -> None:
        for large in answer.pieces():
            for at in range(0, len(large), piece):
                line.send(large[at : at + piece])
                line.wait(piece / bytes_per_second)

    return Fault(f"{bytes_per_second} bytes a second", write=write)


def stall(after: int = 0, seconds: float = 3600, until: threading.Event | None = None) -> Fault:
    """Nothing more comes after so many bytes, for that long, or until the event or the end of the world; then the rest."""

    def write(line: Line, answer: Answer) -> None:
        sent = 0
        for piece in answer.pieces():
            if sent <= after < sent + len(piece):
                line.send(piece[: after - sent])
                line.wait(seconds, until)
                line.send(piece[after - sent :])
            else:
                line.send(piece)
            sent += len(piece)

    return Fault(f"stalled after {after}", write=write)


def late(seconds: float) -> Fault:
    """The answer begins only after a while."""

    def wait(answer: Answer, asked: Asked) -> Answer:
        time.sleep(seconds)
        return answer

    return Fault(f"{seconds} s late", before=wait)


def wrong_length(by: int) -> Fault:
    """`Content-Length` is so much more (or less) than what comes; then the line ends."""

    def change(answer: Answer, asked: Asked) -> Answer:
        return answer.with_headers(Content_Length=str(max(0, answer.end - answer.start + by)))

    def write(line: Line, answer: Answer) -> None:
        for piece in answer.pieces():
            line.send(piece)
        line.close()

    return Fault(f"length wrong by {by}", after=change, write=write)


def no_length() -> Fault:
    """No `Content-Length`: the body ends with the line."""

    def write(line: Line, answer: Answer) -> None:
        for piece in answer.pieces():
            line.send(piece)
        line.close()

    return Fault(
        "no length", after=lambda answer, asked: answer.with_headers(Content_Length="", Connection="close"), write=write
    )


def wrong_bytes(at: int = 0, count: int = 1) -> Fault:
    """Some bytes of the file (counted in the whole file) are others."""

    def change(answer: Answer, asked: Asked) -> Answer:
        data = bytearray(b"".join(replace(answer, start=0, stop=None).pieces()))
        for place in range(at, min(at + count, len(data))):
            data[place] ^= 0xFF
        return replace(answer, body=bytes(data))

    return Fault(f"wrong bytes at {at}", before=change)


def whole_file() -> Fault:
    """200 and all of the file, although a part was asked for."""
    return Fault("200 for 206", before=lambda answer, asked: replace(answer, ranged=False))


def wrong_range(by: int = 1) -> Fault:
    """206 with another part than was asked for: the range begins later (or earlier) and its header says so."""

    def change(answer: Answer, asked: Asked) -> Answer:
        if answer.status != 206:
            return answer
        start = min(max(0, answer.start + by), answer.end - 1)
        shown = f"bytes {start}-{answer.end - 1}/{answer.total}"
        return replace(answer, start=start).with_headers(Content_Range=shown, Content_Length=str(answer.end - start))

    return Fault(f"range off by {by}", after=change)


def lying_range(by: int = 1) -> Fault:
    """206 with another part than was asked for, and a `Content-Range` that pretends otherwise."""

    def change(answer: Answer, asked: Asked) -> Answer:
        return (
            replace(answer, start=max(0, answer.start - by), stop=answer.end - by) if answer.status == 206 else answer
        )

    return Fault(f"range shifted by {by}", after=change)


def no_range_header() -> Fault:
    """206 without `Content-Range`."""
    return Fault("206 without Content-Range", after=lambda answer, asked: answer.with_headers(Content_Range=None))


def new_etag(etag: str = '"another"') -> Fault:
    """The file has another `ETag`, as if it had been replaced; its bytes are the same."""
    return Fault("new ETag", before=lambda answer, asked: answer.with_headers(ETag=etag))


def new_file(data: bytes) -> Fault:
    """The file was replaced: other bytes, another `ETag`."""

    def change(answer: Answer, asked: Asked) -> Answer:
        return replace(file_answer(data), headers={**answer.headers, **file_answer(data).headers})

    return Fault("another file", before=change)


def headers(**changed: str | None) -> Fault:
    """Other headers, named with `_` for `-`; None takes one away."""
    return Fault("headers changed", before=lambda answer, asked: answer.with_headers(**changed))


def named(name: str) -> Fault:
    """`Content-Disposition` with this name, byte for byte as given (latin-1, else UTF-8)."""
    return headers(Content_Disposition=f'attachment; filename="{name}"')


def named_utf8(name: str) -> Fault:
    """`Content-Disposition` with this name in the extended form, every character kept."""
    return headers(Content_Disposition=f"attachment; filename=\"x.bin\"; filename*=UTF-8''{quote(name, safe='')}")


def redirect(to: str, status: int = 302) -> Fault:
    """Sent elsewhere: another host, `file:///etc/passwd`, itself."""
    return Fault(f"redirect to {to}", before=lambda answer, asked: moved(to, status))


def loop() -> Fault:
    """Sent back to the same address."""
    return Fault("redirect loop", before=lambda answer, asked: moved(asked.target))


def status(code: int, body: Any = None, retry_after: int | str | None = None, **shown: str) -> Fault:
    """An error; `body` is JSON, text or bytes, `retry_after` seconds or a date."""
    more = {**shown, **({} if retry_after is None else {"Retry_After": str(retry_after)})}

    def change(answer: Answer, asked: Asked) -> Answer:
        if isinstance(body, Mapping | list):
            return said(body, code, **more)
        text = f"error {code}" if body is None else body
        data = text if isinstance(text, bytes) else text.encode()
        return Answer(code, {"Content-Type": "text/plain"}, data).with_headers(**more)

    return Fault(f"status {code}", before=change)


def expired() -> Fault:
    """What a signed address says when its time is over."""
    text = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
    return status(403, text, Content_Type="application/xml")


def html(title: str = "Log in") -> Fault:
    """A page for people with status 200 in place of the file."""
    return Fault("a page", before=lambda answer, asked: page(title))


def pointer(sha256: str = "0" * 64, size: int = 123456) -> Fault:
    """The text that stands in a git repository in place of a large file."""
    return Fault("LFS pointer", before=lambda answer, asked: file_answer(POINTER.format(sha256, size).encode()))


def gzipped() -> Fault:
    """Compressed, whatever was asked for."""

    def change(answer: Answer, asked: Asked) -> Answer:
        data = gzip.compress(b"".join(answer.pieces()), mtime=0)
        return replace(answer, body=data, ranged=False).with_headers(Content_Encoding="gzip")

    return Fault("gzip", before=change)


def endless() -> Fault:
    """A chunked body that never ends."""

    def write(line: Line, answer: Answer) -> None:
        while line.open:
            line.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n")

    return Fault("endless", after=_chunked, write=write)


def chunked() -> Fault:
    """The body in chunks, its length untold."""

    def write(line: Line, answer: Answer) -> None:
        for piece in answer.pieces():
            line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        line.send(b"0\r\n\r\n")

    return Fault("chunked", after=_chunked, write=write)


def bad_chunks(after: int = 0) -> Fault:
    """Chunks whose lengths are no numbers, after so many good bytes."""

    def write(line: Line, answer: Answer) -> None:
        if good := b"".join(answer.pieces())[:after]:
            line.send(b"%x\r\n%s\r\n" % (len(good), good))
        line.send(b"zz\r\nnonsense\r\n")
        line.close()

    return Fault("bad chunks", after=_chunked, write=write)


def nonsense() -> Fault:
    """Something that is no HTTP at all."""

    def write(line: Line, answer: Answer) -> None:
        line.send(b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff")
        line.close()

    return Fault("no HTTP", after=lambda answer, asked: replace(answer, status=-1), write=write)


def _chunked(answer: Answer, asked: Asked) -> Answer:
    return answer.with_headers(Transfer_Encoding="chunked", Content_Length="")
