"""Logging in: whose token it is, where it is kept, where tokens come from. For the command line and the interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.errors import ModelhubError
from modelhub.fetch.tokens import Found, Kept, find, find_all, keep, place_to_keep, token_of
from modelhub.fetch.whose import Owner, owner_of
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A token that was kept: whose it is, if that was asked; where it lies; sentences to be read."""

    owner: Owner | None
    kept: Kept
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """Where the token of a provider comes from, and which others there are: places, never tokens."""

    provider: str
    kind: str | None
    place: str | None
    also: tuple[str, ...]
    problems: tuple[str, ...]


def log_in(provider: str, token: str, *, check: bool = True, dry_run: bool = False, job: Job = QUIET) -> LoggedIn:
    """Ask whose `token` it is, unless `check` is off, and keep it, unless it is a `dry_run`.

    Raises what `owner_of` and `keep` raise, and CancelledError.
    """
    owner = owner_of(provider, token, job=job) if check else None
    job.check()
    kept = place_to_keep() if dry_run else keep(provider, token)
    return LoggedIn(owner, kept, (*(owner.notes if owner else ()), *kept.troubles, *_before(provider)))


def _before(provider: str) -> Iterator[str]:
    """What counts before the token that is kept."""
    try:
        found, _ = find(provider)
    except ModelhubError as error:
        yield f"{error.message} {error.hint}"
        return
    if found is not None and found.kind == "environment":
        yield f"The token in {found.place} counts before the one that is kept."


def token_status(provider: str) -> TokenStatus:
    """Where the token comes from; a place in trouble is no reason to stop."""
    found: list[Found] = []
    problems: tuple[str, ...] = ()
    try:
        found, problems = find_all(provider)
    except ModelhubError as error:
        problems = (f"{error.message} {error.hint}",)
    kind, place = (found[0].kind, found[0].place) if found else (None, None)
    return TokenStatus(provider, kind, place, tuple(one.place for one in found[1:]), tuple(problems))


def check_token(provider: str, *, job: Job = QUIET) -> Owner | None:
    """Whose the token is that counts; None if there is none. Raises what `owner_of` and `token_of` raise."""
    token = token_of(provider)
    return None if token is None else owner_of(provider, token, job=job)
