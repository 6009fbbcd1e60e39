"""Wanting: what a person types to search providers by, words and `field:value`, read into a `Search`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from modelhub.catalog.architectures import architectures
from modelhub.catalog.kinds import KINDS
from modelhub.catalog.provided import TITLES
from modelhub.errors import UsageError
from modelhub.fetch.search.hits import SORTS, Search
from modelhub.text import brief, meant

#: A field of what is typed to that of a search.
FIELDS = {
    "kind": "kind", "arch": "architecture", "base": "base_model", "creator": "creator", "by": "creator", "tag": "tag",
    "sort": "sort", "on": "on",
}  # fmt: skip
_TERM = re.compile(r'(?:(?P<field>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s"]+))', re.IGNORECASE)


def read_search(text: str, *, limit: int = 20, adult: bool = False) -> tuple[Search, tuple[str, ...]]:
    """What `text` looks for, and the providers to ask: `water color kind:lora base:Pony sort:downloads on:civitai`.

    A word before a colon that is no field is looked for as it is. Raises UsageError for values that there are not.
    """
    words: list[str] = []
    said: dict[str, Any] = {}
    for found in _TERM.finditer(text):
        value = found["quoted"] if found["quoted"] is not None else found["word"]
        name = FIELDS.get((found["field"] or "").lower())
        if name is None:
            words.append(value if found["field"] is None else f"{found['field']}:{value}")
        else:
            said[name] = _checked(name, value)
    providers = (said.pop("on"),) if "on" in said else ("civitai",) if "base_model" in said else tuple(TITLES)
    return Search(" ".join(words), limit=limit, adult=adult, **said), providers


def _checked(name: str, value: str) -> str:
    """The value of a field as a search has it. Raises UsageError."""
    if name == "kind":
        return known(value, KINDS, "kind")
    if name == "architecture":
        return known(value, [one.id for one in architectures()], "architecture")
    if name == "sort":
        return SORTS[known(value, tuple(SORTS), "order")]
    return known(value, tuple(TITLES), "provider") if name == "on" else value


def known(word: str, words: Sequence[str], what: str) -> str:
    """The word in lower case, if it is one of those that there are. Raises UsageError."""
    if word.lower() in words:
        return word.lower()
    raise UsageError(f"There is no {what} '{brief(word, 100)}'{meant(word, words)}.", f"Known: {', '.join(words)}.")
