"""Front: what a server sends with a good status that is not the file, told by its first bytes before the rest comes."""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

from modelhub.errors import LoginNeededError, ModelhubError, WrongBytesError
from modelhub.fetch.net.endpoints import TITLES
from modelhub.fetch.net.redact import cleaned
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.naming import is_model_name
from modelhub.formats.sniff import sniff_bytes
from modelhub.text import brief

#: Bytes that are looked at.
FRONT = 4096
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(rb"(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|body|script|title|meta)\b", re.I | re.S)
_TITLE = re.compile(rb"<title[^>]{0,100}>([^<]{0,300})</title", re.I)
_LOGIN = re.compile(rb"type=[\"']?password|\bsign[ -]?in\b|\blog[ -]?in\b|download-auth", re.I)
_SAID = re.compile(rb"<(?:Code|Message)>([^<]{1,300})</(?:Code|Message)>")
_PAGES = ("text/html", "application/xhtml+xml")
#: Endings of files that may well begin so.
_PAGE_ENDINGS = {".html", ".htm", ".xhtml", ".md", ".txt", ".svg", ".xml", ".jinja"}
_JSON_ENDINGS = {".json", ".jsonl", ".ipynb", ".txt", ".index", ".webmanifest", ".md", ".geojson", ".jinja"}
_XML_ENDINGS = {".xml", ".svg", ".html", ".xhtml", ".txt", ".md", ".plist"}


class Front(NamedTuple):
    """The first bytes that came, their Content-Type, and the host they came from."""

    data: bytes
    kind: str
    host: str


def check_front(front: Front, file: RemoteFile, provider: str) -> None:
    """Raise the error for a file that begins like a web page, a pointer, or the words of a server in trouble.

    LoginNeededError for a login page, else WrongBytesError with what the server said.
    """
    text = _text(front.data)
    ending = os.path.splitext(file.name.lower())[1]  # noqa: PTH122 (a name from a server is no path)
    if is_pointer(front.data):
        raise _pointer(front, file)
    if is_page(front.data, front.kind) and ending not in _PAGE_ENDINGS:
        raise _page(front, file, provider)
    if text.startswith((b"<?xml", b"<Error>")) and ending not in _XML_ENDINGS:
        raise _instead("an error in XML", front, file, b": ".join(_SAID.findall(text)))
    if text.startswith(b"{") and ending not in _JSON_ENDINGS:
        said = _words(text)
        if said or is_model_name(file.name):
            raise _instead("JSON", front, file, said)


def is_pointer(data: bytes) -> bool:
    """Whether a file that begins with `data` is a pointer of Git LFS."""
    return _text(data).startswith(_POINTER)


def is_page(data: bytes, kind: str) -> bool:
    """Whether it looks like a web page, or is said to be one by its Content-Type and does not look like a model."""
    return bool(_PAGE.match(_text(data))) or (kind in _PAGES and sniff_bytes(data) == "unknown")


def _text(data: bytes) -> bytes:
    return data[:FRONT].removeprefix(b"\xef\xbb\xbf").lstrip()


def _words(text: bytes) -> bytes:
    """The message in the JSON of an error; b"" for none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return b""
    words = [found.get(name) for name in ("message", "error", "detail")]
    return next((word.encode("utf-8", "replace") for word in words if isinstance(word, str) and word), b"")


def _page(front: Front, file: RemoteFile, provider: str) -> ModelhubError:
    if _LOGIN.search(front.data):
        message = f"{front.host} shows a page to log in, not {brief(file.name)}."
        known = f"Run `modelhub login {provider}`, then try again."
        return LoginNeededError(message, known if provider in TITLES else "Log in there, and use the link it gives.")
    title = _TITLE.search(front.data)
    return _instead("a web page", front, file, title[1].strip() if title else b"")


def _instead(what: str, front: Front, file: RemoteFile, said: bytes) -> WrongBytesError:
    quote = f": {brief(cleaned(said.decode('utf-8', 'replace')), 200)}" if said else ""
    hint = "Open the address in a browser to see what it wants; it may not be that of the file itself."
    return WrongBytesError(f"{front.host} sent {what} instead of {brief(file.name)}{quote}.", hint)


def _pointer(front: Front, file: RemoteFile) -> WrongBytesError:
    message = f"{front.host} sent a pointer of Git LFS instead of {brief(file.name)}: a note of where the file is kept."
    return WrongBytesError(message, "Use the address that downloads the file: /resolve/ or /media/ instead of /raw/.")
