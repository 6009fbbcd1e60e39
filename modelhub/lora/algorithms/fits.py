"""Whether shapes of parts fit together, and fit a layer: by headers alone, so that a check knows before baking."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TypeVar

from modelhub.catalog.match import Shape

#: Shapes of a module's parts, by their names without the algorithm.
Shapes = Mapping[str, Shape]

_Part = TypeVar("_Part")


class Unfit(Exception):  # noqa: N818 - it is a finding, not an error that anyone sees
    """Parts that make no change of a layer: what is wrong, as the end of a sentence about the module."""


def own(algorithm: str, parts: Mapping[str, _Part]) -> dict[str, _Part]:
    """Of a module's parts by `algorithm.part`, those that an algorithm reads, by their names without it.

    A module may have parts of several algorithms in one file; the bias of a full difference goes with each.
    """
    found: dict[str, _Part] = {}
    for name, part in parts.items():
        owner, _, word = name.partition(".")
        if owner in (algorithm, "extra") or name == "diff.diff_b":
            found[word] = part
    return found


def need(shapes: Shapes, name: str) -> Shape:
    """The shape of a part that must be there."""
    if name not in shapes:
        raise Unfit(f"has no {name}")
    return shapes[name]


def matrix(name: str, shape: Shape) -> tuple[int, int]:
    """Rows and columns of a tensor as a matrix; a vector is a column."""
    if not shape:
        raise Unfit(f"has a single number as {name}")
    return shape[0], prod(shape[1:])


def part(shapes: Shapes, name: str) -> tuple[int, int]:
    """Rows and columns of a part that must be there, and be more than a vector."""
    shape = need(shapes, name)
    if len(shape) < 2:
        raise Unfit(f"has {name} {list(shape)}, not a matrix")
    return matrix(name, shape)


def product(shapes: Shapes, left: str, right: str) -> tuple[int, int]:
    """Rows and columns of left @ right."""
    (rows, inner), (same, columns) = part(shapes, left), part(shapes, right)
    if inner != same:
        raise Unfit(f"has {left} {list(shapes[left])} and {right} {list(shapes[right])}, which cannot be multiplied")
    return rows, columns


def tucker(shapes: Shapes, core: str, left: str, right: str) -> tuple[int, int]:
    """Rows and columns of core [r, s, ...] between left [r, rows] and right [s, columns]."""
    (first, rows), (second, columns) = part(shapes, left), part(shapes, right)
    middle = need(shapes, core)
    if middle[:2] != (first, second):
        raise Unfit(f"has {core} {list(middle)}, which does not fit ranks {first} and {second}")
    return rows, columns * prod(middle[2:])


def count(shapes: Shapes, name: str, *allowed: int) -> None:
    """A part, if it is there, must have one of these numbers of values."""
    if name in shapes and prod(shapes[name]) not in allowed:
        sizes = " or ".join(map(str, dict.fromkeys(allowed)))
        raise Unfit(f"has {name} {list(shapes[name])}, not {sizes} values")
