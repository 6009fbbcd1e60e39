"""A merge and its parents in one grid: where they stand, and how the pictures of the one compare to the others'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.checking.comparing import Report, compare
from modelhub.preview.checking.distances import Shot
from modelhub.preview.grids.axes import Axis, Value
from modelhub.preview.grids.drawing import Place, counts
from modelhub.preview.grids.painting import Painted
from modelhub.preview.grids.wish import Wish
from modelhub.preview.request import Request

#: A place of a grid may stay empty; an axis there changes nothing.
EMPTY = Axis("", (), lambda wish, request, value: (wish, request))


class Parent(NamedTuple):
    """A parent: its title, its REF, and the model in whose shell it is shown, if it is but a denoiser."""

    title: str
    ref: str
    shell: str = ""


class Family(NamedTuple):
    """The axis (0 is x) on which merges and parents stand, and which of its values are which."""

    axis: int
    merges: tuple[int, ...]
    parents: tuple[int, ...]


def free_place(axes: Sequence[Axis], what: str) -> int:
    """The first place without an axis. Raises UsageError if there is none."""
    found = next((at for at, axis in enumerate(axes) if not axis.values), len(axes))
    if found > 2:
        raise UsageError(f"All three axes are taken, and there is none left for {what}.", "Leave one of them out.")
    return found


def placed(axes: Sequence[Axis], at: int, axis: Axis) -> list[Axis]:
    """`axes` with another one at place `at`."""
    found = [*axes, *[EMPTY] * (at + 1 - len(axes))]
    found[at] = axis
    return found


def with_parents(axes: Sequence[Axis], merge: Axis, parents: Sequence[Parent]) -> tuple[list[Axis], Family]:
    """`axes` with a column (or row, or page) for each parent, after those of the merge.

    That is on the axis that changes the recipe's numbers, if there is one; else on an axis of its own, whose first
    value is that of `merge`. Raises UsageError if there is no place for it.
    """
    at = next((at for at, axis in enumerate(axes) if axis.of_recipe), -1)
    if at < 0:
        at = free_place(axes, "the parents")
    own = axes[at] if at < len(axes) and axes[at].values else merge

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        if not isinstance(value.value, Parent):
            return own.apply(wish, request, value)
        return replace(wish.unchanged, source=value.value.ref, shell=value.value.shell), request

    values = (*own.values, *(Value(parent.title, parent) for parent in parents))
    places = range(len(values))
    family = Family(at, tuple(places[: len(own.values)]), tuple(places[len(own.values) :]))
    return placed(axes, at, replace(own, values=values, apply=apply)), family


class Compared(NamedTuple):
    """A report, and what the pictures have in common: the labels of all other axes."""

    at: str
    report: Report

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"at": self.at, **self.report.as_dict()}


def report_lines(reports: Sequence[Compared]) -> Iterator[str]:
    """What a person gets to read of all reports."""
    for one in reports:
        yield from one.report.lines(one.at)


def check_comparable(axes: Sequence[Axis], family: Family, sizes: Mapping[Place, tuple[int, int]]) -> None:
    """Raise UsageError if no picture will have the size of those that it would be compared with."""
    if all(len({sizes[place] for row in rows.values() for place in row}) > 1 for _, rows in _rows(axes, family)):
        raise UsageError(
            "Nothing could be compared: the pictures of the models have different sizes.", "Choose one with --size."
        )


def compared(axes: Sequence[Axis], family: Family, painted: Mapping[Place, Painted]) -> Iterator[Compared]:
    """Each merge against the parents on the same seeds, apart for all values of other axes.

    Pictures of different sizes are not compared.
    """
    names = _unique(axes[family.axis].labels)
    for at, rows in _rows(axes, family):
        shots = {value: _shots(painted[place] for place in row) for value, row in rows.items()}
        if len({shot.pixels.shape for found in shots.values() for shot in found.values()}) == 1:
            for merge in family.merges:
                named = {names[value]: shots[value] for value in (merge, *family.parents)}
                yield Compared(at, compare(names[merge], named))


def _unique(labels: Sequence[str]) -> list[str]:
    """Labels, those that several values have with their numbers: models of one name lie in different folders."""
    return [f"{one} ({at})" if labels.count(one) > 1 else one for at, one in enumerate(labels, 1)]


def _rows(axes: Sequence[Axis], family: Family) -> Iterator[tuple[str, dict[int, list[Place]]]]:
    """What is compared with each other, and what it has in common: for each model the places of all its seeds."""
    seeds = next((at for at, one in enumerate(axes) if one.name == "seed" and at != family.axis), -1)
    sides = [range(count) for count in counts(axes)]
    others = [range(1) if at in (family.axis, seeds) else side for at, side in enumerate(sides)]
    for place in product(*others):
        at = ", ".join(axes[n].labels[k] for n, k in enumerate(place) if len(others[n]) > 1)
        of_seeds = [_moved(place, seeds, seed) for seed in (sides[seeds] if seeds >= 0 else [0])]
        models = (*family.merges, *family.parents)
        yield at, {value: [_moved(one, family.axis, value) for one in of_seeds] for value in models}


def _moved(place: Sequence[int], axis: int, value: int) -> Place:
    x, y, z = (value if at == axis else one for at, one in enumerate(place))
    return x, y, z


def _shots(row: Iterable[Painted]) -> dict[int, Shot]:
    """The pictures of one model by their seeds."""
    return {one.cell.request.seed: Shot(one.picture.pixels, one.picture.warnings) for one in row}
