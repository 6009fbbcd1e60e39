"""Places in prompts: errors quote the words around the one that cannot be read, and mark it."""

from __future__ import annotations

import math

from modelhub.errors import UsageError
from modelhub.text import one_line

#: How many brackets may be open at once; each is another factor of 1.1, and 100 of them are a weight of 13,781.
DEEPEST = 100
#: The largest weight of words or of a prompt: a hundred times what makes a picture burn.
HEAVIEST = 1000
_AROUND = 24
_LONGEST = 40


def marked(text: str, start: int, stop: int) -> str:
    """`… (a red circle:>>>1.2.3<<<) on …`: what stands at `start` up to `stop` in a prompt, on one line."""
    before, after = text[max(0, start - _AROUND) : start], text[stop : stop + _AROUND]
    if start > _AROUND:
        before = f"… {before.partition(' ')[2] or before}"
    if stop + _AROUND < len(text):
        after = f"{after.rpartition(' ')[0] or after} …"
    said = text[start:stop]
    if len(said) > _LONGEST:
        said = f"{said[: _LONGEST - 1]}…"
    return f"{one_line(before)}>>>{one_line(said)}<<<{one_line(after)}"


def weight_at(text: str, start: int, stop: int, example: str) -> float:
    """The weight that stands at `start` up to `stop` in a prompt. Raises UsageError, with `example` as its hint."""
    try:
        weight = float(text[start:stop])
    except ValueError:
        weight = math.nan
    if abs(weight) <= HEAVIEST:
        return weight
    fault = "is no number" if math.isnan(weight) else f"is larger than {HEAVIEST:,}"
    raise UsageError(f"A weight in the prompt {fault}: {marked(text, start, stop)}", f"Write {example}.")


def too_deep(text: str, place: int) -> UsageError:
    """The error for the bracket at `place`, which is one too many."""
    return UsageError(
        f"The prompt has more than {DEEPEST} open brackets: {marked(text, place, place + 1)}",
        "Close some; \\( and \\[ are brackets that are part of the text.",
    )
