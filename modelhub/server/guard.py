"""Who may talk to the server: no other web site through the user's browser, and from other machines who has the token.

A page of another site can send requests to 127.0.0.1, and with a name that it lets point there (DNS rebinding) even
read the answers. It cannot choose the headers Host and Origin that its browser sends.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

_LOCAL = "localhost"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on `host`, a name or an address."""
    if host == _LOCAL or host.endswith(f".{_LOCAL}"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """The rules of a server that listens on `host`; a `token` is asked of everybody."""

    host: str
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, host: str, *, shared: bool = False) -> Guard:
        """The rules for a host, with a new token where other machines reach it, or where this one is `shared`."""
        return cls(host, secrets.token_urlsafe(24) if shared or not is_loopback(host) else "")

    def foreign(self, headers: Mapping[str, str], *, navigates: bool = False) -> str:
        """Why a request is another site's, in a sentence; "" for one that is not. `navigates`: it opens a page."""
        name, origin = _name(headers.get("Host", "")), headers.get("Origin")
        if not self.token and name != self.host and not (name and is_loopback(name)):
            return "This server is asked under a name that is not its own."
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("Host", "").lower():
            return "Pages of other sites may not talk to this server."
        if not navigates and headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "Pages of other sites may not talk to this server."
        return ""

    def knows(self, headers: Mapping[str, str], *words: str) -> bool:
        """Whether a request carries the token: as one of `words`, as a bearer, or as the password of any user."""
        if not self.token:
            return True
        given = [*words, *_authorization(headers.get("Authorization", ""))]
        return any(secrets.compare_digest(word.encode(), self.token.encode()) for word in given)


def _name(host: str) -> str:
    """The name in a Host header, without the port: `[::1]:80` is `::1`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _authorization(header: str) -> list[str]:
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer":
        return [text.strip()]
    if kind.lower() != "basic":
        return []
    try:
        return [b64decode(text, validate=True).decode("utf-8").partition(":")[2]]
    except (Base64Error, UnicodeDecodeError):
        return []
