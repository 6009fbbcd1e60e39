"""Notes on prompts: what A1111 accepts without a word, and people seldom mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from modelhub.errors import UsageError
from modelhub.preview.prompts.attention import BREAK, weigh
from modelhub.preview.prompts.branches import AND, branches
from modelhub.preview.prompts.emphasis import NONE, ORIGINAL
from modelhub.preview.prompts.grammar import NUMBER, parse
from modelhub.preview.prompts.places import marked

_MARK = re.compile(r"\\.?|[()\[\]]", re.DOTALL)
_WORDS = re.compile(r"\(([^()\[\]:\\]*):([^()\[\]:\\]*)\)")
_NUMBER = re.compile(r"\s*[+-]?[.\d]+\s*")
_CHANGE = re.compile(r"\[[^()\[\]:|\\]*:[^()\[\]:|\\]*:([^()\[\]:|\\]*)\]")
#: Control characters, soft hyphens, spaces without width and marks of direction; no joiners, which emoji are made with.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_EMBEDDING = re.compile(r"\bembedding:([^\s,()\[\]:|]+)", re.IGNORECASE)
_MOST = 5


def notes(prompt: str, *, negative: bool = False, emphasis: str = ORIGINAL) -> tuple[str, ...]:
    """At most five sentences on a prompt, each with the place; none if it cannot be read as a whole."""
    what = "negative prompt" if negative else "prompt"
    weighing = () if emphasis == NONE else (_brackets, _weights, _breaks)
    found = chain.from_iterable(kind(prompt, what) for kind in (*weighing, _editing, _embeddings, _unseen))
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
    for match in _CHANGE.finditer(prompt):
        if not NUMBER.fullmatch(match[1]):
            where = marked(prompt, *match.span(1))
            yield f"In the {what} this is no number, so it is text that does not change: {where}"


def _embeddings(prompt: str, what: str) -> Iterator[str]:
    """Embeddings that nobody has; those that are known have lost the word before their names."""
    for match in _EMBEDDING.finditer(prompt):
        yield f"In the {what} this embedding is not known, so it is text: {marked(prompt, *match.span(1))}"


def _unseen(prompt: str, what: str) -> Iterator[str]:
    """What came along when a text was copied, the first of it."""
    if match := _UNSEEN.search(prompt):
        yield f"In the {what} stands what nobody sees, and the model reads: {marked(prompt, *match.span())}"


def _breaks(prompt: str, what: str) -> Iterator[str]:
    """BREAK in brackets."""
    if any(piece.text == BREAK and not piece.breaks for piece in weigh(prompt)):
        yield f"BREAK in brackets is a word, so the {what} does not break there."


def _joins(prompt: str, what: str, negative: bool) -> Iterator[str]:
    """AND where nothing is joined, or a prompt without words, and a weight of all."""
    if negative:
        yield from ["AND is a word in the negative prompt; only prompts are joined by it."] * bool(AND.search(prompt))
        return
    parts = branches(prompt)
    if len(parts) == 1 and parts[0].weight != 1.0:
        yield f"The number at its end is the weight of the whole {what}: {parts[0].weight:g}."
    elif len(parts) > 1 and (empty := [place for place, part in enumerate(parts, 1) if not part.text.strip()]):
        yield f"Of {len(parts)} prompts that AND joins, number {empty[0]} has no words, and counts like the others."
