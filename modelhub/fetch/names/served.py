"""Served names: what a server calls a file, by its answer or its address. Raw: `names.safe` makes a safe one of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from modelhub.formats.naming import is_model_name

_PARAMETER = re.compile(r";\s*([\w-]+\*?)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^;]*)")
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}


def served_name(headers: Mapping[str, str], *urls: str) -> str | None:
    """The name that the headers of an answer give, else the best of those that `urls` end in, the first before others.

    The best is one that a model can have. None where nothing has a name.
    """
    said = disposition_name(headers.get("Content-Disposition") or headers.get("content-disposition") or "")
    names = [said] if said else [name for url in urls if (name := url_name(url))]
    return next((name for name in names if is_model_name(name)), None) or (names[0] if names else None)


def disposition_name(header: str) -> str | None:
    """The name in a `Content-Disposition` header: that of `filename*` counts before that of `filename`."""
    found = {name.lower(): value.strip() for name, value in reversed(_PARAMETER.findall(";" + header))}
    return _extended(found.get("filename*", "")) or _plain(found.get("filename", "")) or None


def url_name(url: str) -> str | None:
    """What the path of an address ends in, decoded; None for one that ends in nothing."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2]) or None
    except ValueError:
        return None


def _extended(value: str) -> str:
    """The text of UTF-8''na%20me; "" for what is not of that form."""
    charset, mark, rest = value.strip('"').partition("'")
    encoding = _CHARSETS.get(charset.lower())
    return unquote(rest.partition("'")[2], encoding, "replace") if mark and encoding else ""


def _plain(value: str) -> str:
    if value.startswith('"'):
        value = re.sub(r"\\([\"\\])", r"\1", value[1:-1] if value.endswith('"') else value[1:])
    return _as_utf8(value)


def _as_utf8(text: str) -> str:
    """HTTP decodes headers as Latin-1; servers that send a name as it is mean UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
