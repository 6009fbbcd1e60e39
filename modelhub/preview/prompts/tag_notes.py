"""Notes on tags in prompts: those that do something else than they seem to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelhub.errors import UsageError
from modelhub.preview.prompts.grammar import Edit, Parts, Turns, parse
from modelhub.preview.prompts.places import marked
from modelhub.preview.prompts.tags import LORAS, TAG

#: What begins as a tag and ends without >, or holds nothing.
_BROKEN = re.compile(rf"<(?:{'|'.join(LORAS)}):(?:>|[^<>]+(?=<|$))", re.IGNORECASE)
#: Stands for a tag while the grammar reads the prompt; it means nothing in Unicode.
_STAND_IN = "\ufdd0"


def tag_notes(prompt: str, negative: str = "") -> Iterator[str]:
    """Sentences on the tags of both prompts, each with the place."""
    tags = list(TAG.finditer(prompt))
    for tag, changes in zip(tags, _all_changing(prompt) or [False] * len(tags), strict=True):
        where = marked(prompt, *tag.span())
        if tag[1].lower() not in LORAS:
            yield f"This is no LoRA, and so left out, as in A1111: {where}"
        elif changes:
            yield f"A LoRA does not come or go on the way: it is in the whole picture, as in A1111: {where}"
    for tag in _BROKEN.finditer(prompt):
        yield f"This is no whole tag of a LoRA, and so text: {marked(prompt, *tag.span())}"
    for tag in TAG.finditer(negative):
        if tag[1].lower() in LORAS:
            yield f"In the negative prompt a LoRA's tag is only text: {marked(negative, *tag.span())}"


def _all_changing(prompt: str) -> list[bool]:
    """For each tag, in order, whether it stands in what changes on the way; none where that cannot be read."""
    try:
        parts = parse(TAG.sub(_STAND_IN, prompt.replace(_STAND_IN, " "))).parts
    except UsageError:
        return []
    return list(_changing(parts, inside=False))


def _changing(parts: Parts, *, inside: bool) -> Iterator[bool]:
    for part in parts:
        if isinstance(part, str):
            yield from [inside] * part.count(_STAND_IN)
        elif isinstance(part, Turns):
            for option in part.options:
                yield from _changing(option, inside=True)
        elif isinstance(part, Edit):
            yield from _changing(part.before, inside=True)
            yield from _changing(part.after, inside=True)
