"""AND: prompts that guide a picture together, each with a weight: `a cat :1.2 AND a dog`."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.prompts.places import marked

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")


class Weighed(NamedTuple):
    """One of the prompts that AND joins."""

    text: str
    weight: float


def branches(prompt: str) -> list[Weighed]:
    """The prompts that AND joins, at least one, without the weight at their end and the space around it.

    A prompt without AND may have a weight, too, as in A1111. Raises UsageError for a weight beyond all numbers.
    """
    return [_weighed(part) for part in _AND.split(prompt)]


def _weighed(part: str) -> Weighed:
    text, colon, tail = part.rpartition(":")
    number = tail.strip()
    if not colon or not _WEIGHT.fullmatch(number):
        return Weighed(part.rstrip(), 1.0)
    weight = float(number)
    if not math.isfinite(weight):
        start = len(text) + 1
        raise UsageError(f"A weight in the prompt is no number: {marked(part, start, len(part))}", "Write a cat :1.2.")
    return Weighed(text.rstrip(), weight)
