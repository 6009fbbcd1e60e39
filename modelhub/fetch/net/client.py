"""Net: asks servers, follows redirects, waits and asks again; a token goes to its provider's own address only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelhub.errors import LoginNeededError, ProviderError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.asking import Asking, Question
from modelhub.fetch.net.bodies import BODY, json_of, whole
from modelhub.fetch.net.patience import Patience
from modelhub.fetch.net.refusal import Refused
from modelhub.fetch.net.session import Sessions
from modelhub.fetch.net.signing import Signing
from modelhub.formats.closing import Closing
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from requests import Response

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


class Net(Closing):
    """All connections of a run; safe to use from several threads, each of which gets connections of its own.

    `tokens` gives the token of a provider (civitai, huggingface) where the usual places are not to be asked; those that
    are `given`, by provider, come before. An address
    on a usual host of a provider is asked through its endpoint. All that asks raises Refused (a status of 400 or more),
    LoginNeededError (sent to a login page), UnreachableError (no answer, after several tries), ProviderError (an answer
    of no use), UsageError (no address) and CancelledError; none of them holds a secret.
    """

    def __init__(
        self,
        tokens: Callable[[str], str | None] | None = None,
        *,
        given: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        civitai_others: Sequence[str] | None = None,
    ) -> None:
        self._sessions = Sessions()
        patience = patience or Patience()
        self._asking = Asking(Signing(tokens, {} if given is None else given), self._sessions, patience)
        self._once = replace(patience, tries=1, knocks=1)
        self._others = civitai_others

    @property
    def patience(self) -> Patience:
        """How long is waited, for whoever asks a provider through a library of its own."""
        return self._asking.patience

    def token(self, provider: str, job: Job = QUIET) -> str | None:
        """The token of a provider, for its own address alone. Raises UsageError for one that no header can hold."""
        return self._asking.signing.token(provider, job)

    def forget_tokens(self) -> None:
        """Look for tokens anew at the next question: the user may have given one."""
        self._asking.signing.forget()

    def cleaned(self, text: str) -> str:
        """`text` without tokens, and with the addresses in it redacted: for words that libraries and servers wrote."""
        return self._asking.signing.cleaned(text)

    def close(self) -> None:
        """Close all connections."""
        self._sessions.close()

    def json(
        self,
        url: str,
        *,
        params: Params = (),
        provider: str = "web",
        job: Job = QUIET,
        signed: bool | None = None,
        limit: int = BODY,
    ) -> Any:
        """The JSON at `url`, of `limit` bytes at most; None as a value in `params` leaves its field out.

        `signed`: whether the provider's token goes along; None decides: Civitai is asked without one first, because
        what it answers then comes faster, and with it where it wants to know who asks. What Civitai does not have is
        asked for at its other addresses, unless the user named an endpoint.
        """
        url = endpoints.through_endpoint(url)
        question = Question("GET", url, params=params, provider=provider, plain=False)
        try:
            return self._read(question, signed, job, limit)
        except Refused as refused:
            if refused.refusal.status != 404 or provider != "civitai":
                raise
            first = refused
        return self._elsewhere(question, first, job, limit)

    def post(self, url: str, body: Any, *, provider: str = "web", job: Job = QUIET, signed: bool | None = None) -> Any:
        """The JSON that is the answer to `body`, which is sent as JSON; only for what changes nothing at the server."""
        question = Question("POST", endpoints.through_endpoint(url), body=body, provider=provider, plain=False)
        return self._read(question, signed, job, BODY)

    @contextmanager
    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        provider: str = "web",
        job: Job = QUIET,
        signed: bool = True,
        method: str = "GET",
        follow: bool = True,
        patient: bool = True,
    ) -> Iterator[Response]:
        """The answer after redirects, its body still to be read (`.raw` has the bytes as they come), closed at the end.

        `.history` holds the redirects, closed. `follow` False gives the first answer, a redirect or not. Without
        `patient` it is asked once, whatever happens.
        """
        asked, patience = endpoints.through_endpoint(url), None if patient else self._once
        question = Question(method, asked, headers=dict(headers or {}), provider=provider, follow=follow, signed=signed)
        with self._sessions.breaking(job), closing(self._asking.answer(question, job, patience)) as response:
            yield response

    def _read(self, question: Question, signed: bool | None, job: Job, limit: int) -> Any:
        question = question.with_signed(question.provider != "civitai" if signed is None else signed)
        try:
            return self._body(question, job, limit)
        except (Refused, LoginNeededError) as refused:
            asks = isinstance(refused, LoginNeededError) or refused.refusal.status in (401, 403)
            may = signed is None and not question.signed and self._asking.has_token(question, job)
            if not (asks and may):
                raise
        return self._body(question.with_signed(True), job, limit)

    def _body(self, question: Question, job: Job, limit: int, patience: Patience | None = None) -> Any:
        return json_of(self._asking.reading(question, job, lambda response: whole(response, limit), patience))

    def _elsewhere(self, question: Question, first: Refused, job: Job, limit: int) -> Any:
        """What another address of Civitai has; the refusal of the first if none has it."""
        base = endpoints.civitai()
        others = endpoints.civitai_others() if self._others is None else self._others
        for other in others if question.url.startswith(f"{base}/") else ():
            there = question.at(other + question.url.removeprefix(base))
            with suppress(ProviderError):
                return self._body(there, job, limit, self._once)
        raise first
