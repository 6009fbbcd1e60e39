"""Refusal: what a server said when it did not give what was asked for, kept without secrets until it is explained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelhub.errors import (
    ArchivedError,
    LoginNeededError,
    ModelhubError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnreachableError,
)
from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.patience import seconds_of
from modelhub.text import brief, human_seconds

#: Troubles of a server that asking again does not mend: not implemented, HTTP version, loop, network login.
_LASTING = (501, 505, 508, 511)
#: What Civitai says where it counts the downloads of a whole day.
_OF_A_DAY = "unusual amount of downloading"
#: `RateLimit: "api";r=0;t=55`: none remain, for so many seconds.
_LIMIT = re.compile(r'"\w+"\s*;\s*r\s*=\s*0+\s*;\s*t\s*=\s*(\d{1,9})')


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with a status of 400 or more.

    `url` is what was asked, redacted; `host` who answered, with its port where that is unusual. `headers` are found by
    names in any case. `body` is its first 64 KiB as text. None of them holds a token. `signed`: a token went with it.
    """

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: str = field(repr=False)
    host: str = ""
    signed: bool = False

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def wait(self) -> float | None:
        """Seconds until the server wants to be asked again, if it says so."""
        told = seconds_of(self.headers.get("Retry-After"))
        limit = _LIMIT.search(self.headers.get("RateLimit") or "") if told is None and self.status == 429 else None
        return float(limit[1]) if limit else told

    @property
    def passes(self) -> bool:
        """Whether asking again after some seconds may help."""
        if self.status == 429:
            return self.wait is not None or _OF_A_DAY not in self.said.lower()
        return self.status >= 500 and self.status not in _LASTING

    @property
    def said(self) -> str:
        """The server's own words, on one line and shortened; "" if it sent none or a web page."""
        found = self.json
        if isinstance(found, dict):
            words = [_words(found.get(name)) for name in ("message", "error", "detail")]
            return next((brief(word, 200) for word in words if word), "")
        is_page = "html" in self.headers.get("Content-Type", "").lower() or self.body.lstrip()[:1] in ("<", "{", "[")
        return "" if is_page else brief(self.body.strip(), 200)

    @property
    def quote(self) -> str:
        """The server's own words as a sentence that follows another; "" if there are none."""
        said = self.said
        return f" It says: {said}" if said else ""


def _words(value: Any) -> str:
    """The text in a field of an error: itself, its message, or that of the first of the issues it lists."""
    for _ in range(4):
        if isinstance(value, dict):
            value = value.get("issues") or value.get("message")
        elif isinstance(value, list):
            value = value[0] if value else None
    return value.strip() if isinstance(value, str) else ""


class Refused(ProviderError):  # noqa: N818 (a refusal is raised, too, where nothing is wrong with the program)
    """A server that answered with a status of 400 or more; `fetch.refusals.explained` says what it means."""

    def __init__(self, refusal: Refusal) -> None:
        found = explain(refusal, refusal.url)
        super().__init__(found.message, found.hint)
        self.code, self.exit_code = found.code, found.exit_code
        self.refusal = refusal


def explain(refusal: Refusal, what: str) -> ModelhubError:
    """The error for `what` was asked for, by its status alone, as any server on the web means it."""
    who, status = title_of(refusal.url), refusal.status
    quote = refusal.quote
    if status in (401, 407):
        return LoginNeededError(f"{who} wants to know who asks for {what}.{quote}", "Log in, or give a token.")
    if status == 403:
        return ProviderError(f"{who} does not let you have {what}.{quote}", "A link may have expired: take it anew.")
    if status == 404:
        return NotFoundError(f"{who} does not know {what}.{quote}", "Check the address.")
    if status in (410, 451):
        return ArchivedError(f"{who} no longer gives out {what}.{quote}", "Look for a copy of it elsewhere.")
    if status == 429:
        return rate_limited(who, refusal.wait, quote)
    if status >= 500:
        return UnreachableError(f"{who} has trouble of its own (status {status}).{quote}", "Try again later.")
    return ProviderError(f"{who} refused {what} with status {status}.{quote}", "Check the address.")


def rate_limited(who: str, wait: float | None, quote: str = "") -> RateLimitedError:
    """The error of a server that wants to be asked less often; `wait` in seconds, if it said so."""
    when = f"in {human_seconds(wait)}" if wait else "later"
    return RateLimitedError(f"{who} was asked too often.{quote}", f"Try again {when}.", wait)
