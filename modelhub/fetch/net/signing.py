"""Signing: the tokens of a run, each looked up once, and what must not be shown of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from modelhub.errors import UsageError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.redact import cleaned
from modelhub.fetch.tokens import find, is_token
from modelhub.jobs import Job


class Signing:
    """Knows the token of each provider; keyrings may ask the user, and are slow, so it asks them once.

    `tokens` gives the token of a provider; None looks in the usual places, and says what is wrong with them. Those that
    are `given` come before either.
    """

    def __init__(self, tokens: Callable[[str], str | None] | None, given: Mapping[str, str]) -> None:
        self._tokens, self._given = tokens, given
        self._known: dict[str, str | None] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def token(self, provider: str, job: Job) -> str | None:
        """The token of `provider`, if there is one. Raises UsageError for what is none, and what `find` raises."""
        with self._lock:
            if provider not in self._known:
                self._known[provider] = self._look(provider, job)
                self._seen |= {token for token in [self._known[provider]] if token}
            return self._known[provider]

    def forget(self) -> None:
        """Look for tokens anew: the user may have given one, or taken one back."""
        with self._lock:
            self._known.clear()

    def header(self, provider: str, url: str, job: Job) -> str | None:
        """The `Authorization` for `url`: only where that is at the very address of `provider`."""
        if not endpoints.is_at(provider, url):
            return None
        token = self.token(provider, job)
        return None if token is None else f"Bearer {token}"

    def cleaned(self, text: str) -> str:
        """`text` without the tokens."""
        return cleaned(text, list(self._seen))

    def _look(self, provider: str, job: Job) -> str | None:
        token = self._given.get(provider)
        if token is None and self._tokens is None:
            found, troubles = find(provider)
            for trouble in troubles:
                job.say(trouble, "warning")
            return found.token if found else None
        if token is None and self._tokens is not None:
            token = self._tokens(provider) or None
        if token is not None and not is_token(token):
            title = endpoints.TITLES.get(provider, provider)
            raise UsageError(f"The token for {title} holds characters that no token has.", "Give it anew.")
        return token
