"""Redirects: where an answer sends a question on to, and where it must not go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from modelhub.errors import LoginNeededError, ProviderError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.net.session import without_user

if TYPE_CHECKING:
    from requests import Response

#: How many are followed.
REDIRECTS = 10

_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Hop:
    """One address of a question: `user` is the header of the user and password that stood in its first one.

    `first`: nothing was followed yet. `home`: scheme, host and port are still those of the first.
    """

    method: str
    url: str
    user: str | None = None
    first: bool = True
    home: bool = True

    def __repr__(self) -> str:
        return f"Hop({self.method} {redacted(self.url)})"


def next_hop(hop: Hop, response: Response, signed: bool) -> Hop | None:
    """Where `response`, the answer at `hop`, sends us; None if it is the answer itself.

    Raises LoginNeededError for a login page; ProviderError for what is no web address, and for a step down to http.
    """
    if response.status_code not in _MOVED:
        return None
    url = _goal(hop, response.headers.get("Location", ""))
    if _is_login(url):
        raise _login_needed(hop, signed)
    method = "GET" if hop.method == "POST" and response.status_code < 307 else hop.method
    home = hop.home and endpoints.origin(url) == endpoints.origin(hop.url)
    return Hop(method, url, hop.user if home else None, first=False, home=home)


def _goal(hop: Hop, location: str) -> str:
    who = endpoints.title_of(hop.url)
    try:
        # servers write UTF-8, which the library reads as Latin-1
        url = without_user(urljoin(hop.url, location.encode("latin-1").decode("utf-8")))[0]
        there = endpoints.origin(url)
        good = bool(location) and bool(there.host) and there.scheme in ("http", "https")
    except ValueError:
        good = False
    if not good:
        raise ProviderError(f"{who} sends the question on to what is no web address.", "Try again later.")
    if there.scheme == "http" and endpoints.origin(hop.url).scheme == "https":
        message = f"{who} sends the question on to {redacted(url)}, where anyone on the way could read and change it."
        raise ProviderError(message, "Nothing was asked there. Take the model from another place.")
    return url


def _is_login(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path.rstrip("/").rpartition("/")[2] in ("login", "signin") or "reason=download-auth" in parts.query


def _login_needed(hop: Hop, signed: bool) -> LoginNeededError:
    provider = endpoints.provider_of(hop.url)
    who = endpoints.title_of(hop.url)
    if provider == "web":
        return LoginNeededError(f"{who} gives this only to those who log in.", "Fetch it with a browser.")
    if signed:
        message = f"{who} shows its login page in spite of the token: it may have expired."
        return LoginNeededError(message, f"Make a new one in your account there, then run `modelhub login {provider}`.")
    message = f"{who} gives this only to those who log in."
    return LoginNeededError(message, f"Run `modelhub login {provider}` with a token from your account there.")
