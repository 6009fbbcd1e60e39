"""What Civitai means when it refuses: each status and body by its cause, with the next step."""

from __future__ import annotations

from datetime import datetime

from modelhub.errors import (
    ArchivedError,
    DownloadsDisabledError,
    EarlyAccessError,
    LoginNeededError,
    ModelhubError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
)
from modelhub.fetch.civitai.dates import moment, now, spoken
from modelhub.fetch.net import refusal as general
from modelhub.fetch.net.refusal import Refusal
from modelhub.text import human_seconds

LOGIN_HINT = "Make an API key on civitai.com under Account settings, then: modelhub login civitai"


def explain(refusal: Refusal, what: str) -> ModelhubError:
    """The error for `what` ("version 5 of model 3 on Civitai"), which Civitai refused."""
    by_status = {400: _bad, 401: _unauthorized, 403: _forbidden, 404: _not_found, 410: _gone, 429: _too_often}
    explained = by_status.get(refusal.status)
    return explained(refusal, what) if explained else general.explain(refusal, what)


def disabled(what: str) -> DownloadsDisabledError:
    """The error for a file that may be used on Civitai's own machines only."""
    hint = "No token helps. Look for another version or a model like it: modelhub find."
    return DownloadsDisabledError(f"The creator of {what} lets nobody download it.", hint)


def early(what: str, until: datetime | None, *, forever: bool = False) -> EarlyAccessError:
    """The error for a file that only those who paid can have, until some day if that is known."""
    message = f"Civitai has {what} in early access: only those who paid on its page can download it"
    if until is not None and until > now() and not forever:
        hint = f"It is free from {until:%Y-%m-%d}; try again then, or log in with the account that bought it."
        return EarlyAccessError(f"{message} before {spoken(until)}.", hint)
    hint = "Log in with the account that bought it: modelhub login civitai"
    return EarlyAccessError(f"{message}." if forever else f"{message}; until when is not known.", hint)


def archived(what: str) -> ArchivedError:
    """The error for a model whose files Civitai took away."""
    hint = "Look for another version, or for a copy elsewhere: modelhub find."
    return ArchivedError(f"Civitai has archived {what}: its files can no longer be downloaded.", hint)


def _bad(refusal: Refusal, what: str) -> ModelhubError:
    hint = "Check what was typed; if that is right, Civitai may want to be asked in another way by now."
    return ProviderError(f"Civitai does not take the question for {what}.{refusal.quote}", hint)


def _unauthorized(refusal: Refusal, what: str) -> ModelhubError:
    if "disabled downloads" in refusal.said.lower():
        return disabled(what)
    if refusal.signed:
        message = f"Civitai does not take the token that was sent for {what}."
        return LoginNeededError(message, f"It may have expired, or its account may not have this. {LOGIN_HINT}")
    return LoginNeededError(f"Civitai gives {what} only to those who are logged in.", LOGIN_HINT)


def _forbidden(refusal: Refusal, what: str) -> ModelhubError:
    said = refusal.json
    if isinstance(said, dict) and (said.get("error") == "Early Access" or "early access" in refusal.said.lower()):
        return early(what, moment(said.get("deadline")))
    quote = refusal.quote if refusal.said != "Forbidden" else ""
    hint = "It may be blocked where you are, or for this account; see whether its page opens in a browser."
    return ProviderError(f"Civitai does not let this account or this address on the network have {what}.{quote}", hint)


def _not_found(refusal: Refusal, what: str) -> ModelhubError:
    hint = "It may have been deleted or taken back, or the number is another one; open its page to see."
    if "file not found" in refusal.said.lower():
        hint = "Its files may have changed: use the address of the model's page, and --list shows what there is."
    return NotFoundError(f"Civitai has no {what}.", hint)


def _gone(refusal: Refusal, what: str) -> ModelhubError:
    return archived(what)


def _too_often(refusal: Refusal, what: str) -> ModelhubError:
    if "downloading" not in refusal.said.lower():
        return general.rate_limited("Civitai", refusal.wait, refusal.quote)
    when = f"in {human_seconds(refusal.wait)}" if refusal.wait else "tomorrow: it counts the downloads of 24 hours"
    message = f"Civitai found too many downloads from here to give {what}."
    return RateLimitedError(message, f"Try again {when}.", refusal.wait)
