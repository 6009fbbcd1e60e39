"""Whose token is it: the provider is asked before a token is kept, so that a bad one is noticed at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelhub.errors import LoginNeededError, ModelhubError, ProviderError, TokenScopeError
from modelhub.fetch.net import Net, Patience, endpoints
from modelhub.fetch.net.refusal import Refused, explain
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job
from modelhub.text import brief

_PATHS = {"civitai": "/api/v1/me", "huggingface": "/api/whoami-v2"}

#: Where a user makes a token.
PAGES = {"civitai": "/user/account", "huggingface": "/settings/tokens"}


@dataclass(frozen=True, slots=True)
class Owner:
    """The name of a token's owner at its provider, and sentences about what the token may not do."""

    name: str
    notes: tuple[str, ...] = ()


def page_for_tokens(provider: str) -> str:
    """The address of the page where a user makes a token."""
    return f"{endpoints.endpoint(provider)}{PAGES[provider]}"


def owner_of(provider: str, token: str, *, patience: Patience | None = None, job: Job = QUIET) -> Owner:
    """Whose token it is, as civitai or huggingface says.

    Raises LoginNeededError for a token that the provider does not know, TokenScopeError for one that may not even say
    whose it is, and what `Net` raises.
    """
    url = f"{endpoints.endpoint(provider)}{_PATHS[provider]}"
    try:
        with Net(lambda asked: token if asked == provider else None, patience=patience, civitai_others=()) as net:
            found = net.json(url, provider=provider, job=job, signed=True)
    except LoginNeededError:
        raise _unknown(provider) from None
    except Refused as refused:
        raise _refused(provider, refused) from None
    return Owner(_name(provider, found), tuple(_notes(provider, found)))


def _unknown(provider: str) -> LoginNeededError:
    hint = f"Make a new one on {page_for_tokens(provider)}, and copy all of it."
    return LoginNeededError(f"{endpoints.TITLES[provider]} does not know this token.", hint)


def _refused(provider: str, refused: Refused) -> ModelhubError:
    refusal, title = refused.refusal, endpoints.TITLES[provider]
    if refusal.status == 401:
        return _unknown(provider)
    if refusal.status == 403:
        hint = f"Make one on {page_for_tokens(provider)} that may read, or keep this one with --no-check."
        return TokenScopeError(f"{title} knows this token, and it may not say whose it is.", hint)
    return explain(refusal, "the page that says whose a token is")


def _name(provider: str, found: Any) -> str:
    name = values.at(found, "username" if provider == "civitai" else "name")
    if not (isinstance(name, str) and name.strip()):
        message = f"{endpoints.TITLES[provider]} does not say whose token it is."
        raise ProviderError(message, "Try again later, or keep it unchecked with --no-check.")
    return brief(name)


def _notes(provider: str, found: Any) -> list[str]:
    """Of Hugging Face's tokens that were given single rights: whether they open gated models."""
    right = values.at(found, "auth", "accessToken", "fineGrained", "canReadGatedRepos")
    if provider == "huggingface" and right is False:
        return ["This token does not open gated models: its right to read public gated repositories is off."]
    return []
