"""Redact: addresses and texts as they may be shown, without passwords, tokens, keys and signatures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

HIDDEN = "***"

#: Names of query fields whose values let whoever reads them in; a name may be part of a longer one.
_SECRET = re.compile(
    r"token|key|sig|secret|pass|pwd|auth|cred|polic|jwt|session|hmac|hdnts|ticket|x-amz-|x-goog-|^code$|^st$", re.I
)
#: What nobody types: long, without spaces, with digits; a hash in hex is no secret.
_OPAQUE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w\-+/=.~%:]{32,}")
_HASH = re.compile(r"[0-9a-fA-F]{32,64}")
_URL = re.compile(r"https?://[^\s<>\"'\x00-\x1f]+", re.I)
_HEADER = re.compile(r"\b(bearer|basic|token)\s+[\w\-+/=.~]{8,}", re.I)


def redacted(url: str) -> str:
    """`url` for people: without user and password, and with the values of fields that look like secrets hidden."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, netloc, parts.path, _query(parts.query), ""))
    except ValueError:
        return _without_parts(url)


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, as they are or as an address writes them, and with every address in it redacted."""
    for secret in sorted({form for one in secrets if one for form in _forms(one)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URL.sub(lambda found: redacted(found[0]), _HEADER.sub(rf"\1 {HIDDEN}", text))


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret), quote(secret, safe=""), quote_plus(secret)


def _without_parts(url: str) -> str:
    """What is left of an address that cannot be taken apart: no query, and nothing before an `@`."""
    scheme, slashes, rest = re.split(r"[?#]", url, maxsplit=1)[0].rpartition("//")
    return scheme + slashes + rest.rpartition("@")[2]


def _query(query: str) -> str:
    return "".join(part if part in ("&", ";") else _field(part) for part in re.split("([&;])", query))


def _field(field: str) -> str:
    name, equals, value = field.partition("=")
    shown = name if not (equals == "" and _is_opaque(name)) else HIDDEN
    return (
        f"{shown}={HIDDEN}"
        if value and (_SECRET.search(unquote_plus(name)) or _is_secret(value))
        else shown + equals + value
    )


def _is_secret(value: str) -> bool:
    """Whether a value is one that nobody typed, or an address with secrets of its own."""
    plain = unquote_plus(value)
    return _is_opaque(plain) or ("://" in plain and redacted(plain) != plain)


def _is_opaque(value: str) -> bool:
    return bool(_OPAQUE.fullmatch(value)) and not _HASH.fullmatch(value)
