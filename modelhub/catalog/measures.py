"""Measured facts: numbers that are read off shapes and names, as the data file names them.

A measure is text: `input_blocks.0.0.weight[1]` is a dimension, `count PATTERN + PATTERN` a number of tensors,
`has PATTERN` a yes or no, `each PATTERN` the numbers of tensors for each value of the first `#`, `numbers PATTERN`
those values. The first alternative that exists counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.catalog.match import View

_DIMENSION = re.compile(r"(.+)\[(-?\d+)\]")


def measure_all(view: View, measures: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Every measure that the tensors below the view's prefix have, by the name of the fact."""
    found = {fact: _first(view, alternatives) for fact, alternatives in measures.items()}
    return {fact: value for fact, value in found.items() if value is not None}


def _first(view: View, alternatives: Iterable[str]) -> Any:
    return next((value for value in (measure(view, text) for text in alternatives) if value is not None), None)


def measure(view: View, text: str) -> int | bool | list[int] | None:
    """One measure, or None if the tensor it reads is not there."""
    verb, _, pattern = text.partition(" ")
    if verb == "has":
        return view.has(pattern)
    if verb == "count":
        return sum(len(view.find(one)) for one in pattern.split(" + ")) or None
    if verb == "each":
        return list(_counted(view, pattern).values()) or None
    if verb == "numbers":
        return list(_counted(view, pattern)) or None
    return _dimension(view, text)


def _dimension(view: View, text: str) -> int | None:
    fits = _DIMENSION.fullmatch(text)
    if fits is None:
        return None
    axis = int(fits[2])
    return next((shape[axis] for shape in view.shapes(fits[1]) if -len(shape) <= axis < len(shape)), None)


def _counted(view: View, pattern: str) -> dict[int, int]:
    """Each value of the first `#`, in order, and how many tensors have it."""
    head = view.prefix + pattern.partition("#")[0]
    counts = Counter(int(re.split(r"\D", name[len(head) :], maxsplit=1)[0]) for name in view.find(pattern))
    return {index: counts[index] for index in sorted(counts)}
