"""Direct: a file at any address of the web, with what its server says of it: name, size, SHA256 if it tells one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelhub.errors import UsageError, WrongBytesError
from modelhub.fetch import refusals
from modelhub.fetch.download.answer import Answer
from modelhub.fetch.download.front import is_page, is_pointer
from modelhub.fetch.names.endings import format_by_name
from modelhub.fetch.names.served import served_name, url_name
from modelhub.fetch.net import Net, Refused
from modelhub.fetch.net.bodies import pieces
from modelhub.fetch.net.endpoints import host_of
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.net.trouble import failures, trouble_of
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.fetch.sources.source import WebSource
from modelhub.formats.sidecars import SidecarFacts
from modelhub.formats.sniff import sniff_bytes
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from requests import Response

#: Bytes that tell a page, a pointer and every format of models.
_FRONT = 512
#: That they may take.
_SECONDS = 30.0
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:?([A-Za-z0-9+/=]{43,44}):?", re.IGNORECASE)
#: What servers answer that do not want to be asked for a part.
_NO_PARTS = (400, 405, 406, 416, 501)


@dataclass(frozen=True)
class _Told:
    """What the answer of a server says; `url` is where it came from, `kind` its Content-Type without parameters."""

    url: str
    headers: Mapping[str, str]
    size: int | None
    kind: str
    front: bytes


def find_offer(source: WebSource, net: Net, job: Job = QUIET) -> Offer:
    """The one file that `source` leads to; a SHA256 that a fragment `#sha256=…` promises is taken as told.

    Raises UsageError for what is no http or https address, and for a web page; WrongBytesError for a Git LFS pointer;
    NotFoundError, LoginNeededError, UnreachableError and other ProviderErrors as the server gives cause.
    """
    url, promised = _without_promise(source.full_url)
    shown = redacted(url)
    told = _ask(url, shown, net, job)
    _refuse_pages(told, shown)
    file = _file(url, told, promised)
    title = file.name.rpartition(".")[0] or file.name
    address = _without_promise(source.url)[0] + (f"#sha256={promised}" if promised else "")
    facts = SidecarFacts(name=title, source=shown, hashes={"sha256": promised} if promised else {})
    version = Version(address, told.headers.get("Last-Modified", ""), files=(file,))
    return Offer(
        redacted(source.url), address, "web", title, page=shown, files=(file,), facts=facts, versions=(version,)
    )


def _without_promise(url: str) -> tuple[str, str | None]:
    """The address without its fragment, and the SHA256 in that. Raises UsageError for what cannot be downloaded."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme.lower() not in ("http", "https") or not host:
        hint = "Addresses that begin with http:// or https:// can be downloaded."
        raise UsageError(f"{redacted(url)} is no address of a file on the web.", hint)
    name, _, digits = parts.fragment.partition("=")
    promised = digits.lower() if name.lower() == "sha256" else None
    if promised is not None and not _HEX.fullmatch(promised):
        raise UsageError(f"{redacted(url)} ends in a SHA256 that is none: it has 64 hexadecimal digits.", "Check it.")
    return parts._replace(fragment="").geturl(), promised


def _ask(url: str, shown: str, net: Net, job: Job) -> _Told:
    """Ask for the first bytes, and for all where parts are not given out; no more than those bytes is read."""
    try:
        return _told(url, {"Range": f"bytes=0-{_FRONT - 1}"}, net, job)
    except Refused as refused:
        if refused.refusal.status not in _NO_PARTS:
            raise refusals.explained(refused, "web", shown) from None
    try:
        return _told(url, {}, net, job)
    except Refused as refused:
        raise refusals.explained(refused, "web", shown) from None


def _told(url: str, wanted: Mapping[str, str], net: Net, job: Job) -> _Told:
    with net.open(url, headers=wanted, provider="web", job=job) as response:
        try:
            front = _front(response)
        except failures() as error:
            raise trouble_of(error, url).error from None
        answer = Answer.of(response)
        size = None if answer.encoding else answer.total  # a compressed answer tells only its own
        return _Told(response.url, response.headers, size, answer.kind, front)


def _front(response: Response) -> bytes:
    front = b""
    for piece in pieces(response, _SECONDS, _FRONT, decode=False):
        front += piece
        if len(front) >= _FRONT:
            break
    return front[:_FRONT]


def _refuse_pages(told: _Told, shown: str) -> None:
    """Raise for a page in place of a file: one for people, or the pointer that stands for a file in git."""
    if is_pointer(told.front):
        hint = "Look for its address with /resolve/ or /media/ in it, or for a button to download it."
        raise WrongBytesError(f"{shown} is a Git LFS pointer, which stands for the model.", hint)
    if is_page(told.front, told.kind):
        hint = "Copy the address of its download button. Where one has to log in first, fetch it with a browser."
        raise UsageError(f"{shown} is a web page, not a file.", hint)


def _file(url: str, told: _Told, promised: str | None) -> RemoteFile:
    name = served_name(told.headers, url, told.url) or host_of(url)
    sha256 = promised or told_sha256(told.headers)
    form = sniff_bytes(told.front)
    return RemoteFile(
        name,
        url,
        path=url_name(url) or name,
        size=told.size,
        hashes={"sha256": sha256} if sha256 else {},
        format=form if form != "unknown" else format_by_name(name),
        primary=True,
    )


def told_sha256(headers: Mapping[str, str]) -> str | None:
    """The SHA256 of the whole file in lower-case hex, as far as the headers of an answer (whole or part) tell it."""
    for name in ("X-Linked-Etag", "X-Checksum-Sha256", "X-Content-Sha256"):
        value = headers.get(name, "").strip().removeprefix("W/").strip('"')
        if _HEX.fullmatch(value):
            return value.lower()
    for name in ("Repr-Digest", "Digest"):
        found = _DIGEST.search(headers.get(name, ""))
        if found and (digest := _from_base64(found[1])):
            return digest.hex()
    return None


def _from_base64(text: str) -> bytes | None:
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == 32 else None
