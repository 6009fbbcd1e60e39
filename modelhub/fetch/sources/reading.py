"""Sources: every way a person points at a model, read into what it means. Nothing is asked of any server here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from modelhub.errors import UsageError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.sources.air import read_air
from modelhub.fetch.sources.civitai_urls import read_civitai_url
from modelhub.fetch.sources.hub_urls import read_hub_path, read_hub_scheme, read_hub_short
from modelhub.fetch.sources.source import CivitaiSource as CivitaiSource
from modelhub.fetch.sources.source import HashSource as HashSource
from modelhub.fetch.sources.source import HuggingFaceSource as HuggingFaceSource
from modelhub.fetch.sources.source import Source as Source
from modelhub.fetch.sources.source import WebSource as WebSource
from modelhub.text import brief

FORMS = (
    "Give the address of a page or file on Civitai or Hugging Face, civitai:MODEL@VERSION, an AIR, owner/repo:file, "
    "any other http or https address, or a hash of 8, 10, 12 or 64 digits."
)
_LONGEST = 8000
#: Number of digits of the hashes that Civitai finds files by.
_DIGITS = (8, 10, 12, 64)
_HASH = re.compile(r"(?:(?:sha256|blake3|crc32|autov[123])[:=]|0x)?([0-9a-f]+)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: Hosts that people leave the scheme away of.
_BARE = re.compile(r"(?:www\.)?(?:civitai\.(?:com|red|green)|huggingface\.com?|hf\.co)(?=[:/?#]|$)", re.IGNORECASE)
_LOCAL = re.compile(r"\.{0,2}[/\\]|~|[A-Za-z]:[/\\]|\.{1,2}$")
_PAIRS = {"<": ">", '"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "(": ")", "[": "]"}
_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"
#: What stays as it is in an address: only spaces, quotes and letters of other scripts are encoded.
_SAFE = "%/:[]@!$&'()*+,;=~-._{}|^`"
_SECRETS = frozenset({"token", "access_token", "api_key", "apikey"})


def read_source(text: str) -> Source:
    """What `text` points at. Raises UsageError, with the forms there are, for what is none of them."""
    cleaned = _cleaned(text)
    if not cleaned or len(cleaned) > _LONGEST or not cleaned.isprintable():
        raise UsageError(f"{_shown(cleaned) or 'Nothing'} is no address of a model.", FORMS)
    found = _by_url(cleaned) or read_air(cleaned) or _by_hash(cleaned) or _by_repository(cleaned)
    if found is None:
        raise UsageError(f"{_shown(cleaned)} is no address of a model.", _hint(cleaned))
    return found


def _cleaned(text: str) -> str:
    """`text` without what copying brings along: white space, quotes, brackets around it, punctuation behind it."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip(_UNSEEN).lstrip("".join(_PAIRS))
        if text[-1:] in _PAIRS.values() and not any(opening in text for opening in _opening(text[-1])):
            text = text[:-1]
        text = text.rstrip(".,;:!?…")
    return text


def _opening(closing: str) -> list[str]:
    """What must stand before `closing` for it to be meant; quotes are never part of an address."""
    return [first for first, last in _PAIRS.items() if last == closing and first != last]


def _by_url(text: str) -> Source | None:
    text = f"https://{text}" if _BARE.match(text) else text
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme in ("hf", "huggingface"):
        return read_hub_scheme(text)
    if scheme in ("http", "https"):
        return _of_web(text)
    if found:
        raise UsageError(f"{_shown(text)} is no http or https address, and nothing else can be downloaded.", FORMS)
    return None


def _of_web(text: str) -> Source:
    url = _split(text)
    bare, token = _without_secrets(url)
    provider = endpoints.provider_of(urlunsplit(bare))
    if provider == "web":
        return WebSource(_settled(urlunsplit(bare)), "" if token is None else urlunsplit(url))
    path = _below_endpoint(bare.path, provider)
    found: Source = read_civitai_url(bare, path) if provider == "civitai" else read_hub_path(path)
    return found if isinstance(found, (HashSource, WebSource)) else replace(found, token=token or None)


def _split(text: str) -> SplitResult:
    """The parts of a URL; of a fragment only a promise of the file's SHA256 is kept.

    Raises UsageError for one that programs read in different ways.
    """
    try:
        url = urlsplit(text)
        well = bool(url.hostname) and "\\" not in text and (url.port is None or url.port > 0)
    except ValueError:
        well = False
    if not well:
        raise UsageError(f"{_shown(text)} is no address of the web.", FORMS)
    path, query = quote(url.path, safe=_SAFE), quote(url.query, safe=_SAFE + "?")
    promise = url.fragment if url.fragment.lower().startswith("sha256=") else ""
    return url._replace(scheme=url.scheme.lower(), path=path, query=query, fragment=promise)


def _settled(url: str) -> str:
    """`url` with its last character encoded where that would pass for punctuation behind an address."""
    return url if _cleaned(url) == url else f"{url[:-1]}%{ord(url[-1]):02X}"


def _shown(text: str) -> str:
    return brief(redacted(text))


def _without_secrets(url: SplitResult) -> tuple[SplitResult, str | None]:
    """The URL without user, password and token, and the token or password; "" for a user alone, None for nothing."""
    userinfo, at, host = url.netloc.rpartition("@")
    fields = parse_qsl(url.query, keep_blank_values=True)
    tokens = [value for name, value in fields if name.lower() in _SECRETS and value]
    query = urlencode([one for one in fields if one[0].lower() not in _SECRETS]) if tokens else url.query
    found = tokens[0] if tokens else userinfo.rpartition(":")[2] if at else None
    return url._replace(netloc=host, query=query), found


def _below_endpoint(path: str, provider: str) -> str:
    """`path` without that of the endpoint, which a mirror may have."""
    prefix = urlsplit(endpoints.endpoint(provider) or "").path.rstrip("/")
    return path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path


def _by_hash(text: str) -> HashSource | None:
    found = _HASH.fullmatch(text)
    return HashSource(found[1].lower()) if found and len(found[1]) in _DIGITS else None


def _by_repository(text: str) -> HuggingFaceSource | None:
    for prefix in ("huggingface:", "hf:"):
        if text.lower().startswith(prefix):
            return read_hub_short(text[len(prefix) :], sure=True)
    if _LOCAL.match(text) or "\\" in text or _is_file(text):
        raise UsageError(f"{brief(text)} is a path on this machine, not an address of a model.", FORMS)
    return read_hub_short(text)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _hint(text: str) -> str:
    if text.isascii() and text.isdigit():
        return f"A model of Civitai is civitai:{text}, a version of one civitai:@{text}. {FORMS}"
    if re.fullmatch(r"[0-9a-fA-F]{6,}", text):
        return f"As a hash it has {len(text)} digits. {FORMS}"
    parts = text.split("/")
    if len(parts) > 2 and all(parts):
        return f"A file of a repository: {'/'.join(parts[:2])}:{'/'.join(parts[2:])}. {FORMS}"
    return FORMS
