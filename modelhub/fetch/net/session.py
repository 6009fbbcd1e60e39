"""Sessions: one per thread, each with its connections; proxies as the environment says, no netrc, no cookies."""

from __future__ import annotations

import base64
import logging
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit
from weakref import WeakSet

from modelhub import __version__
from modelhub.fetch.net.breaking import Breaking, watch_lines
from modelhub.fetch.net.redact import cleaned, redacted
from modelhub.jobs import Job

if TYPE_CHECKING:
    from requests import PreparedRequest, Session

USER_AGENT = f"modelhub/{__version__}"


class Sessions:
    """The sessions of all threads that asked for one."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: WeakSet[Session] = WeakSet()
        self._lock = threading.Lock()
        self._breaking = Breaking()

    def mine(self) -> Session:
        """The session of this thread."""
        found: Session | None = getattr(self._mine, "session", None)
        if found is None:
            found = self._mine.session = _new()
            with self._lock:
                self._all.add(found)
        return found

    def breaking(self, job: Job) -> AbstractContextManager[None]:
        """A block in which the connections of this thread are cut when `job` is cancelled."""
        return self._breaking.at(job, self.mine())

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for session in self._all:
                session.close()


def _new() -> Session:
    from http.cookiejar import DefaultCookiePolicy

    from requests import Session

    class Plain(Session):
        def get_redirect_target(self, resp: Any) -> str | None:
            """None: the library would read the body of a redirect to its end, and look into netrc, even for us."""
            return None

    _quieten()
    session = Plain()
    watch_lines(session)
    session.headers.clear()
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class _Redacting(logging.Filter):
    """Takes secrets out of what urllib3 would log of addresses."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = cleaned_path(record.getMessage()), None
        return True


def cleaned_path(text: str) -> str:
    """`text` with every word in it that has a query redacted, with or without a host before it."""
    return " ".join(_word(word) for word in text.split(" "))


def _word(word: str) -> str:
    return redacted(word) if "?" in word else cleaned(word)


def _quieten() -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    if not any(isinstance(one, _Redacting) for one in logger.filters):
        logger.addFilter(_Redacting())


class Authorization:
    """Puts the given header on a request, or takes any off; as it stands in the place of `auth`, netrc is not read."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._header is None:
            request.headers.pop("Authorization", None)
        else:
            request.headers["Authorization"] = self._header
        return request

    def __repr__(self) -> str:
        return "Authorization(***)" if self._header else "Authorization(None)"


def without_user(url: str) -> tuple[str, str | None]:
    """`url` without user and password, and the header that says them. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    user, at, rest = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, word = user.partition(":")
    secret = base64.b64encode(f"{unquote(name)}:{unquote(word)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=rest)), f"Basic {secret}"
