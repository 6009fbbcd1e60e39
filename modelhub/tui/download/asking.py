"""Downloading: what a person pasted or typed, read into sources to be asked for or words to be searched."""

from __future__ import annotations

import re
from typing import NamedTuple

from modelhub.errors import UsageError
from modelhub.fetch.lists import listed
from modelhub.fetch.sources import read_source

#: Of a pasted text so much is looked at: nobody pastes longer lists, and a file that was pasted by mistake is one.
_LONGEST, _MOST = 100_000, 500
#: What was meant as an address, even where it cannot be read as one.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|urn:|air:|civitai:|hf:|huggingface:|(?:www\.)?civitai\.", re.IGNORECASE)
#: A key: long, without spaces; a hash in hex is none.
_KEY = re.compile(r"hf_\w{16,}|(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{28,}", re.IGNORECASE)


class Typed(NamedTuple):
    """What was typed: `sources` to be asked for, else `words` to be searched."""

    sources: tuple[str, ...] = ()
    words: str = ""


def pasted_sources(text: str) -> list[str]:
    """The sources in a pasted text, each once; none unless every line of it reads as one."""
    if len(text) > _LONGEST:
        return []
    lines = list(dict.fromkeys(listed(text)))
    return lines if len(lines) <= _MOST and all(map(_is_source, lines)) else []


def read_typed(text: str) -> Typed:
    """What a line means. Raises UsageError for an address that cannot be read, and for what looks like a token."""
    text = text.strip()
    if _is_source(text):
        return Typed((text,))
    parts = text.split()
    if len(parts) > 1 and all(_is_address(part) for part in parts):
        return Typed(tuple(dict.fromkeys(parts)))
    if _ADDRESS.match(text) and len(parts) == 1:
        read_source(text)  # which says what is wrong with it
    if any(_KEY.fullmatch(part) for part in parts):
        raise UsageError(
            "This looks like a token or a password, which no search needs to see.",
            "Tokens are kept in Settings: press escape, then the comma.",
        )
    return Typed(words=text)


def _is_address(text: str) -> bool:
    """Whether it is a source that nobody would take for words."""
    return bool(re.search(r"[:/]", text)) and _is_source(text)


def _is_source(text: str) -> bool:
    try:
        read_source(text)
    except UsageError:
        return False
    return True
