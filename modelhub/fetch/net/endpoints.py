"""Endpoints: where Civitai and Hugging Face are asked, by the environment, so that a mirror works for all of them."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

from modelhub.catalog.provided import TITLES as TITLES
from modelhub.errors import UnreachableError, UsageError
from modelhub.fetch.net.redact import redacted

CIVITAI = "https://civitai.com"
HUGGING_FACE = "https://huggingface.co"

#: Where Civitai is asked for what it does not show on its first address.
CIVITAI_OTHERS = ("https://civitai.red",)

_CIVITAI_HOSTS = frozenset(f"{www}civitai.{end}" for www in ("", "www.") for end in ("com", "red", "green"))
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "huggingface.com", "www.huggingface.com", "hf.co"})
_PORTS = {"http": 80, "https": 443}
#: What huggingface_hub takes for a yes.
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


class Origin(NamedTuple):
    """Whom a secret is told: scheme, host and port."""

    scheme: str
    host: str
    port: int


def civitai() -> str:
    """Civitai's address: `CIVITAI_ENDPOINT`, else https://civitai.com. Raises UsageError for one that is none."""
    return _endpoint("CIVITAI_ENDPOINT", CIVITAI)


def hugging_face() -> str:
    """Hugging Face's address: `HF_ENDPOINT`, else https://huggingface.co. Raises UsageError for one that is none."""
    return _endpoint("HF_ENDPOINT", HUGGING_FACE)


def endpoint(provider: str) -> str | None:
    """The address of a provider: civitai or huggingface; None for the rest of the web."""
    return {"civitai": civitai, "huggingface": hugging_face}.get(provider, lambda: None)()


def civitai_others() -> tuple[str, ...]:
    """Other addresses of Civitai; none where the user has named an endpoint, which then is the only one asked."""
    return CIVITAI_OTHERS if civitai() == CIVITAI else ()


def provider_of(url: str) -> str:
    """civitai, huggingface or web: whose endpoint, or usual host, the URL is on."""
    try:
        parts = urlsplit(url)
        asked = origin(url)
    except ValueError:
        return "web"
    for provider, hosts in (("civitai", _CIVITAI_HOSTS), ("huggingface", _HUB_HOSTS)):
        if parts.scheme in _PORTS and (parts.hostname in hosts or asked == origin(str(endpoint(provider)))):
            return provider
    return "web"


def refuse_offline(url: str) -> None:
    """Raise UnreachableError for an address of Hugging Face where the user wants that not to be asked."""
    variable = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
    if os.environ.get(variable, "").upper() in _TRUE and provider_of(url) == "huggingface":
        message = f"Hugging Face is not asked: {variable} is set."
        raise UnreachableError(message, f"Unset {variable} to download.")


def through_endpoint(url: str) -> str:
    """`url` at the provider's endpoint, if it is on one of its usual hosts; any other as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    base = _base(parts)
    if base is None or url.startswith(base + "/"):
        return url
    there = urlsplit(base)
    path = there.path.rstrip("/") + (parts.path or "/")
    return urlunsplit((there.scheme, there.netloc, path, parts.query, parts.fragment))


def _base(parts: SplitResult) -> str | None:
    if parts.scheme not in _PORTS:
        return None
    if parts.hostname in _CIVITAI_HOSTS:
        return civitai()
    return hugging_face() if parts.hostname in _HUB_HOSTS else None


def origin(url: str) -> Origin:
    """Scheme, host and port of `url`. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))


def is_at(provider: str, url: str) -> bool:
    """Whether `url` is at the very address of a provider, which may be told its token. Raises ValueError for none."""
    base = endpoint(provider)
    return base is not None and origin(base) == origin(url)


def host_of(url: str) -> str:
    """The host of `url` for people, with its port where that is not the usual; "" for what is no address."""
    try:
        scheme, host, port = origin(url)
    except ValueError:
        return ""
    return host if port == _PORTS.get(scheme) else f"{host}:{port}"


def title_of(url: str) -> str:
    """Civitai, Hugging Face, or the host of `url`: who answers there, for people."""
    return TITLES.get(provider_of(url)) or host_of(url) or "the server"


def _endpoint(variable: str, usual: str) -> str:
    given = os.environ.get(variable, "").strip().rstrip("/")
    if not given:
        return usual
    if not _is_endpoint(given):
        hint = f"It is an address such as {usual}; unset it for that one."
        raise UsageError(f"{variable} is {redacted(given)}, where no server can be asked.", hint)
    return given


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in _PORTS
            and bool(parts.hostname)
            and not ("@" in parts.netloc or parts.query)
            and origin(text).port > 0
        )
    except ValueError:
        return False
