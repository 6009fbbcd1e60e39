"""Notes on prompts: what A1111 accepts without a word, and people seldom mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from modelhub.errors import UsageError
from modelhub.preview.prompts.attention import BREAK, weigh
from modelhub.preview.prompts.branches import branches
from modelhub.preview.prompts.emphasis import NONE, ORIGINAL
from modelhub.preview.prompts.grammar import parse
from modelhub.preview.prompts.places import marked

_MARK = re.compile(r"\\.?|[()\[\]]", re.DOTALL)
_WORDS = re.compile(r"\(([^()\[\]:\\]*):([^()\[\]:\\]*)\)")
_NUMBER = re.compile(r"\s*[+-]?[.\d]+\s*")
_EMBEDDING = re.compile(r"\bembedding:([^\s,()\[\]:|]+)", re.IGNORECASE)
_MOST = 5


def notes(prompt: str, *, negative: bool = False, emphasis: str = ORIGINAL) -> tuple[str, ...]:
    """At most five sentences on a prompt, each with the place; none if it cannot be read as a whole."""
    what = "negative prompt" if negative else "prompt"
    kinds = (_editing, _embeddings) if emphasis == NONE else (_brackets, _weights, _breaks, _editing, _embeddings)
    found = chain.from_iterable(kind(prompt, what) for kind in kinds)
    try:
        return tuple(islice(chain(found, _joins(prompt, what, negative)), _MOST))
    except UsageError:
        return ()  # its parts may be fine: what never comes to be is not read


def _brackets(prompt: str, what: str) -> Iterator[str]:
    """Brackets without a partner; round and square ones do not know of each other."""
    open_: dict[str, list[int]] = {"(": [], "[": []}
    for match in _MARK.finditer(prompt):
        mark, place = match[0], match.start()
        if mark in open_:
            open_[mark].append(place)
        elif mark in ")]" and not (places := open_["(" if mark == ")" else "["]):
            yield f"In the {what} nothing opens this bracket, so it is text: {marked(prompt, place, place + 1)}"
        elif mark in ")]":
            places.pop()
    for mark, places in open_.items():
        change = "more" if mark == "(" else "less"
        for place in places:
            where = marked(prompt, place, place + 1)
            yield f"In the {what} nothing closes this bracket, so all that follows weighs {change}: {where}"


def _weights(prompt: str, what: str) -> Iterator[str]:
    """(words:much): text in brackets."""
    for match in _WORDS.finditer(prompt):
        if not _NUMBER.fullmatch(match[2]):
            where = marked(prompt, *match.span(2))
            yield f"In the {what} this is no number, so it is text that weighs 1.1: {where}"


def _editing(prompt: str, what: str) -> Iterator[str]:
    """What keeps a prompt from changing on the way, where it looks as if it should."""
    place = parse(prompt).ungrammatical
    if place is not None and "[" in prompt:
        where = marked(prompt, place, place + 1)
        yield f"The {what} does not change on the way, because this belongs to no [one|another]: {where}"


def _embeddings(prompt: str, what: str) -> Iterator[str]:
    """Embeddings that nobody has; those that are known have lost the word before their names."""
    for match in _EMBEDDING.finditer(prompt):
        yield f"In the {what} this embedding is not known, so it is text: {marked(prompt, *match.span(1))}"


def _breaks(prompt: str, what: str) -> Iterator[str]:
    """BREAK in brackets."""
    if any(piece.text == BREAK and not piece.breaks for piece in weigh(prompt)):
        yield f"BREAK in brackets is a word, so the {what} does not break there."


def _joins(prompt: str, what: str, negative: bool) -> Iterator[str]:
    """AND where nothing is joined, and a weight of all."""
    if negative and len(branches(prompt)) > 1:
        yield "AND is a word in the negative prompt; only prompts are joined by it."
    elif not negative and len(parts := branches(prompt)) == 1 and parts[0].weight != 1.0:
        yield f"The number at its end is the weight of the whole {what}: {parts[0].weight:g}."
