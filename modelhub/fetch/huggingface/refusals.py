"""What Hugging Face means when it refuses, by its status and the code in its headers, with the next step."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from modelhub.errors import (
    DownloadsDisabledError,
    GatedError,
    LoginNeededError,
    ModelhubError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    TokenScopeError,
)
from modelhub.fetch.net import Refusal, refusal
from modelhub.text import brief

LOGIN = "log in with `modelhub login huggingface`"
TOKENS = "https://huggingface.co/settings/tokens"
_REPO = re.compile(r"/(?:api/(?:resolve-cache/)?models/)?(?P<repo>[^/]+(?:/[^/]+)?)(?:/|$)")
_VERBS = ("resolve", "raw", "revision", "tree", "blob", "refs", "auth-check", "paths-info")


def explain(refused: Refusal, what: str) -> ModelhubError:
    """The error for `what` ("file.safetensors of owner/repo") that the hub refused."""
    code = refused.headers.get("X-Error-Code") or ""
    said = refused.headers.get("X-Error-Message") or refused.said
    if "access to this resource is disabled" in said.lower():
        return disabled(what)
    if refused.status in (401, 403):
        return _closed(refused, code, said, what)
    if refused.status == 404:
        return _missing(refused, code, what)
    if refused.status == 429:
        return _too_often(refused)
    return refusal.explain(refused, what)


def disabled(what: str) -> DownloadsDisabledError:
    """The error of a model that Hugging Face gives to nobody any more."""
    message = f"Hugging Face has disabled {what}: nobody can download it."
    return DownloadsDisabledError(message, "Look for a copy of it elsewhere.")


def gated(page: str, what: str, *, signed: bool) -> GatedError:
    """The error of a model whose terms were not accepted, by nobody or (`signed`) by this user."""
    message = f"Hugging Face gives {what} only to those who accepted its terms."
    first = f"Open {page}, accept the terms"
    if signed:
        hint = f"{first} with the account of your token; some authors answer by hand. Then try again."
    else:
        hint = f"{first}, make a token that may read gated repositories at {TOKENS}, then `modelhub login huggingface`."
    return GatedError(message, hint)


def _closed(refused: Refusal, code: str, said: str, what: str) -> ModelhubError:
    """401 and 403: nobody asked, somebody unknown, or somebody who may not."""
    if "fine-grained" in said.lower():
        return _narrow_token(what, "read access to public gated repositories")
    if code == "GatedRepo":
        return gated(_page(refused.url), what, signed=refused.signed)
    if refused.status == 403 and not code:
        return _forbidden(refused, said, what)
    if not refused.signed:
        return _hidden(what)
    if refused.status == 401 and code != "RepoNotFound":
        message = "Hugging Face does not accept the token: it is mistyped, expired or withdrawn."
        return LoginNeededError(message, f"Make a new one at {TOKENS}, then `modelhub login huggingface`.")
    if code == "RepoNotFound":
        return _missing(refused, code, what)
    return _narrow_token(what, "read access to it")


def _hidden(what: str) -> NotFoundError:
    """Without a login the hub gives one answer for what is missing and what is private."""
    message = f"Hugging Face has no {what}, or shows it only to those who log in."
    return NotFoundError(message, f"Check the spelling. If it is private or gated: {LOGIN}.")


def _forbidden(refused: Refusal, said: str, what: str) -> ModelhubError:
    """Without a word about the repository: the token is too narrow, or who asks is blocked."""
    quote = f" It says: {brief(said, 200)}" if said else ""
    if refused.signed:
        error = _narrow_token(what, "read access to it")
        return TokenScopeError(f"{error.message}{quote}", error.hint)
    hint = f"It may be blocked where you are; see whether its page opens in a browser, or {LOGIN}."
    return ProviderError(f"Hugging Face does not let this address on the network have {what}.{quote}", hint)


def _narrow_token(what: str, lacks: str) -> TokenScopeError:
    return TokenScopeError(f"The token may not read {what}.", f"Edit it at {TOKENS} and give it {lacks}.")


def _missing(refused: Refusal, code: str, what: str) -> ModelhubError:
    if code == "RevisionNotFound":
        hint = f"See {_page(refused.url)}/commits/main; without a revision it is the newest."
        return NotFoundError(f"Hugging Face has no such revision: {what}.", hint)
    if code == "EntryNotFound":
        return NotFoundError(f"Hugging Face has no {what} in this revision.", f"See {_page(refused.url)}/tree/main.")
    if refused.signed:
        message = f"Hugging Face has no {what}, or your token may not see it."
        return NotFoundError(message, "Check the spelling, and what the token may read.")
    return NotFoundError(f"Hugging Face has no {what}.", f"Check the spelling. If it is private: {LOGIN}.")


def _too_often(refused: Refusal) -> RateLimitedError:
    error = refusal.rate_limited("Hugging Face", refused.wait)
    if not refused.signed:
        error.hint += f" Those who are known may ask more often: {LOGIN}."
    return error


def _page(url: str) -> str:
    """The page, for people, of the repository that an address is about."""
    found = _REPO.search(unquote(urlsplit(url).path))
    parts = found["repo"].split("/") if found else []
    name = "/".join(part for part in parts[:1] + [one for one in parts[1:] if one not in _VERBS])
    return f"https://huggingface.co/{brief(name, 120)}" if name else "its page"
