"""Asking: one question, from its first address over all redirects to its answer, again where that may help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from modelhub.errors import ProviderError, UsageError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.bodies import beginning, let_go
from modelhub.fetch.net.patience import Patience
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.net.redirects import REDIRECTS, Hop, next_hop
from modelhub.fetch.net.refusal import Refusal
from modelhub.fetch.net.session import Authorization, Sessions, without_user
from modelhub.fetch.net.signing import Signing
from modelhub.fetch.net.tries import Tries
from modelhub.fetch.net.trouble import Trouble, failures, trouble_of
from modelhub.jobs import Job

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

#: Headers that are meant for one server only.
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `plain` wants the bytes as they are, without compression; `signed` with the provider's token."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Any = ()
    body: Any = None
    provider: str = "web"
    signed: bool = True
    follow: bool = True
    plain: bool = True

    def with_signed(self, signed: bool) -> Question:
        """The same question with or without the token."""
        return replace(self, signed=signed)

    def at(self, url: str) -> Question:
        """The same question, unsigned, at another address."""
        return replace(self, url=url, signed=False)


class Asking:
    """Puts questions, in the sessions of whichever thread asks."""

    def __init__(self, signing: Signing, sessions: Sessions, patience: Patience) -> None:
        self.signing, self._sessions, self.patience = signing, sessions, patience

    def has_token(self, question: Question, job: Job) -> bool:
        """Whether there is a token to sign the question with."""
        return self.signing.header(question.provider, question.url, job) is not None

    def answer(self, question: Question, job: Job, patience: Patience | None = None) -> Response:
        """The answer, its body not read yet. Raises what `Net` says."""
        return self._answer(question, Tries(patience or self.patience, job))

    def reading(
        self, question: Question, job: Job, read: Callable[[Response], T], patience: Patience | None = None
    ) -> T:
        """What `read` makes of the answer; asked again where it breaks off while it is read."""
        tries = Tries(patience or self.patience, job)
        while True:
            with self._sessions.breaking(job):
                got = self._read(self._answer(question, tries), read)
            if not isinstance(got, Trouble):
                return got
            tries.again(got)

    def _read(self, response: Response, read: Callable[[Response], T]) -> T | Trouble:
        try:
            return read(response)
        except failures() as error:
            return trouble_of(error, response.url)
        finally:
            response.close()

    def _answer(self, question: Question, tries: Tries) -> Response:
        hop = _first(question)
        history: list[Response] = []
        while True:
            header = self.signing.header(question.provider, hop.url, tries.job) if question.signed else None
            response = self._hop(question, hop, header, tries)
            following = next_hop(hop, response, header is not None)
            response.history = history
            if following is None or not question.follow:
                return response
            let_go(response)
            history = [*history, response]
            hop = following
            if len(history) > REDIRECTS:
                message = f"{endpoints.title_of(question.url)} sends every question on to somewhere else."
                raise ProviderError(message, "Is the address right? Try again later.")

    def _hop(self, question: Question, hop: Hop, header: str | None, tries: Tries) -> Response:
        endpoints.refuse_offline(hop.url)
        while True:
            tries.job.check()
            got = self._once(question, hop, header, tries.patience)
            if isinstance(got, Trouble):
                tries.again(got)
            elif got.status_code < 400:
                return got
            else:
                tries.refused(self._refusal(hop, got, header is not None))

    def _once(self, question: Question, hop: Hop, header: str | None, patience: Patience) -> Response | Trouble:
        """One try. Trouble is returned, not raised: the library's exception, which holds the headers, ends here."""
        try:
            response = self._sessions.mine().request(
                hop.method,
                hop.url,
                params=_params(question.params) if hop.first else None,
                json=question.body if hop.method == "POST" else None,
                headers=_headers(question, hop),
                auth=Authorization(header or hop.user),
                timeout=(patience.connect, patience.read),
                allow_redirects=False,
                stream=True,
            )
        except failures() as error:
            return trouble_of(error, hop.url)
        response.request.headers.pop("Authorization", None)
        return response

    def _refusal(self, hop: Hop, response: Response, signed: bool) -> Refusal:
        clean = self.signing.cleaned
        body = clean(beginning(response))
        headers = type(response.headers)({name: clean(value) for name, value in response.headers.items()})
        url = clean(redacted(response.url or hop.url))
        return Refusal(url, response.status_code, headers, body, endpoints.host_of(hop.url), signed)


def _first(question: Question) -> Hop:
    """The first address of a question. Raises UsageError for what is none."""
    try:
        url, user = without_user(question.url)
        good = endpoints.origin(url).scheme in ("http", "https") and bool(endpoints.origin(url).host)
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{redacted(question.url)} is no web address.", "It begins with https:// and a host.")
    return Hop(question.method, url, user)


def _headers(question: Question, hop: Hop) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity" if question.plain else "gzip, deflate", "Accept": "*/*"}
    if question.provider == "civitai" and endpoints.is_at("civitai", hop.url):
        headers["Content-Type"] = "application/json"  # without it Civitai takes us for a browser, and shows pages
    mine = question.headers.items()
    return headers | {name: value for name, value in mine if hop.home or name.lower() not in _PRIVATE}


def _params(params: Any) -> Any:
    pairs: Iterable[tuple[str, Any]] = params.items() if isinstance(params, Mapping) else params
    return [(name, value) for name, value in pairs if value is not None]
