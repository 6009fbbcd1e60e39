"""What the LoRA place renders: a model without and with its stack, and one LoRA of it at several strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from modelhub.catalog.asset import Asset
from modelhub.errors import UsageError
from modelhub.text import one_line, plural
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.kitchen import Part
from modelhub.tui.loras.entry import Entry, counted, strengths

WITHOUT, WITH, STRIP = "without", "with", "x"
#: Strengths of a strip, as they stand at first, and how many there may be.
STEPS = (0.0, 0.5, 1.0, 1.5)
MOST_STEPS = 8


def pair(model: Asset, entries: Sequence[Entry]) -> list[Part]:
    """The model with what counts of its stack, which is asked for, and without it. Raises BadRecipeError."""
    return [*_with(model, entries, WITH, _title(entries)), _without(model)]


def strip(model: Asset, entries: Sequence[Entry], at: int, steps: Sequence[float]) -> list[Part]:
    """The stack with the LoRA at `at`, muted or not, at each of these strengths. Raises BadRecipeError."""
    found: list[Part] = []
    for number, step in enumerate(steps):
        stack = [_heard(entry.at(step), entries) if place == at else entry for place, entry in enumerate(entries)]
        found += _with(model, stack, f"{STRIP}{number}", f"× {step:g}  {one_line(entries[at].asset.path.stem)}")
    return found


def _heard(entry: Entry, entries: Sequence[Entry]) -> Entry:
    """The same, also where only some others count."""
    return replace(entry, alone=any(other.alone and not other.muted for other in entries))


def _with(model: Asset, entries: Sequence[Entry], letter: str, title: str) -> list[Part]:
    loras = strengths(entries)
    if not loras:
        return []
    return [Part(letter, title, recipe=kitchen.merge_recipe([model], None, {}, loras=loras))]


def _without(model: Asset) -> Part:
    return Part(WITHOUT, model.path.stem, path=model.path)


def _title(entries: Sequence[Entry]) -> str:
    """`framed × 0.8`, `3 LoRAs`."""
    here = counted(entries)
    if len(here) != 1:
        return plural(len(here), "LoRA")
    return f"{one_line(here[0].asset.path.stem)} × {here[0].unet:g}"


def read_steps(text: str) -> tuple[float, ...]:
    """Strengths as they are typed: `0, 0.5, 1`. Raises UsageError."""
    words = text.replace(";", " ").replace(",", " ").split()
    hint = f"Write from 1 to {MOST_STEPS} numbers: 0, 0.5, 1, 1.5."
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        raise UsageError(f"'{one_line(text)[:80]}' is no row of strengths.", hint) from None
    if not 1 <= len(found) <= MOST_STEPS or not all(map(isfinite, found)):
        raise UsageError(f"{plural(len(found), 'strength')} cannot be shown side by side.", hint)
    return found
