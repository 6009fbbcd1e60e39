"""AND: prompts that guide a picture together, each with a weight: `a cat :1.2 AND a dog`."""

from __future__ import annotations

import re
from typing import NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.prompts.places import weight_at
from modelhub.text import plural

#: The word that joins.
AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")
#: Each is asked for at every step.
_MOST = 100


class Weighed(NamedTuple):
    """One of the prompts that AND joins."""

    text: str
    weight: float


def branches(prompt: str) -> list[Weighed]:
    """The prompts that AND joins, at least one, without the weight at their end and the space after them.

    A prompt without AND may have a weight, too, as in A1111. Raises UsageError for a weight that is too large, and for
    too many prompts.
    """
    parts = AND.split(prompt)
    if len(parts) > _MOST:
        raise UsageError(f"AND joins {plural(len(parts), 'prompt')}.", f"{_MOST} are the most.")
    return [_weighed(part) for part in parts]


def _weighed(part: str) -> Weighed:
    text, colon, tail = part.rpartition(":")
    if not colon or not _WEIGHT.fullmatch(tail.strip()):
        return Weighed(part.rstrip(), 1.0)
    return Weighed(text.rstrip(), weight_at(part, len(text) + 1, len(part), "a cat :1.2"))
