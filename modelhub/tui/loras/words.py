"""Trigger words of LoRAs, and a prompt that has each of them once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelhub.text import one_line

#: As many new words go into the prompt unasked.
FEW = 3
#: Trigger words of one LoRA that are looked at, and characters of one.
_MOST, _LONGEST = 100, 200


def trigger_words(found: Iterable[object]) -> list[str]:
    """The words of a LoRA on one line each; what is no text, or a whole essay, is left out."""
    words = [one_line(word).strip(" ,") for word, _ in zip(found, range(_MOST), strict=False) if isinstance(word, str)]
    return list(dict.fromkeys(word for word in words if 0 < len(word) <= _LONGEST))


def lacking(prompt: str, words: Iterable[str]) -> list[str]:
    """Those of `words` that a prompt does not have yet, each once, whatever its case."""
    found: dict[str, str] = {}
    for word in words:
        if not has_word(prompt, word):
            found.setdefault(word.casefold(), word)
    return list(found.values())


def has_word(prompt: str, word: str) -> bool:
    """Whether the word, or the words in this order, stand in a prompt."""
    pattern = r"\s+".join(map(re.escape, word.split()))
    return bool(re.search(rf"(?<!\w){pattern}(?!\w)", prompt, re.IGNORECASE))


def with_words(prompt: str, words: Iterable[str]) -> str:
    """The prompt with those of `words` at its end that it does not have yet."""
    return ", ".join([*([prompt.rstrip(" ,")] if prompt.strip(" ,") else []), *lacking(prompt, words)])
