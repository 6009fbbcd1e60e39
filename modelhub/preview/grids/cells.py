"""Cells of a grid: which model, asked for what; and the order in which they cost least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from modelhub.errors import UsageError
from modelhub.preview.grids.axes import Axis, Value
from modelhub.preview.grids.wish import Wish
from modelhub.preview.prompts.tags import read_tags
from modelhub.preview.request import Request

#: Pictures of one grid.
MOST = 2000


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture: its place (column, row, page), what is wished for, and what is requested of that."""

    place: tuple[int, int, int]
    wish: Wish
    request: Request


def cells(wish: Wish, request: Request, axes: Sequence[Axis]) -> list[Cell]:
    """All cells of up to three axes (x, y, z), row by row and page by page.

    Raises UsageError for too many, for axes that set the same thing, and for values that no request can have.
    """
    _check(axes)
    sides = [axis.values or (None,) for axis in axes] + [(None,)] * (3 - len(axes))
    count = len(sides[0]) * len(sides[1]) * len(sides[2])
    if count > MOST:
        raise UsageError(f"The grid has {count:,} pictures.", f"{MOST:,} are the most; take fewer values.")
    return [
        _cell((x, y, z), wish, request, axes, [values[at] for values, at in zip(sides, (x, y, z), strict=True)])
        for z, y, x in product(*(range(len(side)) for side in reversed(sides)))
    ]


def _check(axes: Sequence[Axis]) -> None:
    """Raise UsageError for two axes of which one would undo what the other says."""
    names = [axis.name for axis in axes if axis.values]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Two axes are called {name}.", "Put all values on one of them.")
    samplers = (value for axis in axes if axis.name == "sampler" for value in axis.values)
    named = next((value.label for value in samplers if value.value[1]), None)
    if named and "schedule" in names:
        raise UsageError(f"{named} names a schedule, and so does another axis.", "Name samplers without a schedule.")


def _cell(
    place: tuple[int, int, int], wish: Wish, request: Request, axes: Sequence[Axis], chosen: Sequence[Value | None]
) -> Cell:
    for axis, value in zip(axes, chosen, strict=False):
        if value is not None:
            wish, request = axis.apply(wish, request, value)
    return Cell(place, wish, request)


@dataclass(frozen=True, slots=True)
class Group:
    """Cells that are rendered with one model after the other: what is wished for is the same."""

    wish: Wish
    cells: tuple[Cell, ...]

    @property
    def first(self) -> Request:
        """The request of the first cell; all prompts name the same LoRAs, all second passes the same upscaler."""
        return self.cells[0].request


def in_order(all_cells: Sequence[Cell]) -> list[Group]:
    """All cells by what is wished for, so that a model is loaded once.

    Models come sorted by what costs most to change: the source first, then its parameters, LoRAs, VAE and refiner.
    """
    groups: dict[tuple[Wish, tuple[str, ...]], list[Cell]] = {}
    for cell in all_cells:
        groups.setdefault((cell.wish, tuple(_named(cell.request))), []).append(cell)
    order = list(dict.fromkeys(wish.source for wish, _ in groups))
    keys = sorted(groups, key=lambda key: (order.index(key[0].source), key))
    return [Group(key[0], tuple(groups[key])) for key in keys]


def _named(request: Request) -> Iterator[str]:
    """What a request itself says of the files that it is rendered with."""
    yield from (repr(tag) for tag in read_tags(request.prompt))
    if request.hires is not None:
        yield request.hires.upscaler
