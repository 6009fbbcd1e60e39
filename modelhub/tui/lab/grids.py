"""Grids of the merge lab: an unwritten merge over the values of two axes, picture by picture, and then as one sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import UsageError
from modelhub.jobs import Job
from modelhub.merge.recipes.recipe import Recipe
from modelhub.merge.recipes.varying import block_names, parameter_names, varied
from modelhub.preview.grids.axes import Axis, read_axis
from modelhub.preview.grids.cells import Cell, Group, cells, in_order
from modelhub.preview.grids.wish import Wish
from modelhub.preview.request import Request
from modelhub.tui.lab.recipes import Part
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.preview.grids.drawing import Place
    from modelhub.preview.grids.painting import Painted
    from modelhub.preview.grids.ready import Checked
    from modelhub.tui.pictures.picture import Pixels

_LORA = re.compile(r"\s*lora:([^=]*\S)\s*=", re.IGNORECASE)
#: Axes that the lab has not.
REFUSED = ("refiner", "model")
#: A place without an axis.
_NO_AXIS = Axis("", (), lambda wish, request, value: (wish, request))


@dataclass(frozen=True)
class GridWish:
    """What a grid is asked for with: the merge, the request of all its pictures, and its axes."""

    recipe: Recipe
    file: Path | None
    request: Request
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def x(self) -> list[str]:
        """The labels of the columns."""
        return self.axes[0].labels or [""]

    @property
    def y(self) -> list[str]:
        """The labels of the rows."""
        return (self.axes[1].labels if len(self.axes) > 1 else []) or [""]

    @property
    def title(self) -> str:
        """`alpha × seed`."""
        return " × ".join(axis.name for axis in self.axes if axis.values)


def grid_wish(recipe: Recipe, file: Path | None, request: Request, x: str, y: str) -> GridWish:
    """Read the axes, `NAME=VALUES` or "" for none. Raises UsageError and BadRecipeError for what cannot be."""
    if not x.strip() and not y.strip():
        raise UsageError("The grid has no axis.", "Write one, such as alpha=0-1[5].")
    request = replace(request, batch=1, prompt=_with_tags(request.prompt, (x, y)))
    own = parameter_names(recipe), block_names(), recipe.models
    axes = [read_axis(text, request, *own) if text.strip() else _NO_AXIS for text in (x, y)]
    refused = next((axis.name for axis in axes if axis.name in REFUSED), None)
    if refused:
        raise UsageError(
            f"The lab has no axis over the {refused}.",
            "Other models of the merge go by their letters, as in B=NAME,NAME; `modelhub grid` has all axes.",
        )
    found = cells(Wish(""), request, axes)
    for cell in found:
        _varied(recipe, cell.wish)
    return GridWish(recipe, file, request, tuple(axes), tuple(found))


def _varied(recipe: Recipe, wish: Wish) -> Recipe:
    return varied(recipe, dict(wish.parameters), dict(wish.blocks), dict(wish.models))


def _with_tags(prompt: str, axes: Sequence[str]) -> str:
    """The prompt with a tag for each LoRA on an axis, so that the axis has something to set."""
    named = [found[1] for found in map(_LORA.match, axes) if found]
    return " ".join([prompt, *(f"<lora:{name}:1>" for name in named if f"<lora:{name}" not in prompt)])


def paint_grid(library: Library, wish: GridWish, device: str, job: Job) -> Iterator[Painted]:
    """Render every picture, each model once; all are checked by headers first.

    Raises what opening, planning and rendering raise.
    """
    from modelhub.catalog.opener import SharedOpener
    from modelhub.preview.grids.drawing import check
    from modelhub.preview.grids.painting import paint

    with library.open() as catalog, SharedOpener(catalog, job=job) as opener:
        groups = [_checked(catalog, opener, wish, group, device, job) for group in in_order(wish.cells)]
        sizes = [group.size(cell.request) for group in groups for cell in group.group.cells]
        check(wish.axes, max(width for width, _ in sizes), max(height for _, height in sizes))
        yield from paint(groups, job)


def _checked(catalog: Catalog, opener: Opener, wish: GridWish, group: Group, device: str, job: Job) -> Checked:
    from modelhub.preview.grids.ready import checked
    from modelhub.tui.lab.cooking import made_ready, suited

    title = " ".join(["merge", *group.wish.changes])
    part = Part("merge", title, recipe=_varied(wish.recipe, group.wish), file=wish.file)
    requests = [group.first, *(cell.request for cell in group.cells)]
    found = made_ready(catalog, opener, part, requests, device, job, group.wish.vae)
    suits = tuple(replace(cell, request=suited(cell.request, found.family)) for cell in group.cells)
    return checked(replace(group, cells=suits), found.ready)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A finished grid: the picture with labels, and its infotext."""

    pixels: Pixels
    infotext: str


def sheet_of(wish: GridWish, painted: Mapping[Place, Painted]) -> Sheet:
    """All pictures on one sheet."""
    from modelhub.preview.grids.drawing import draw
    from modelhub.preview.grids.telling import grid_infotext

    pixels = draw(wish.axes, {place: one.picture.pixels for place, one in painted.items()})
    return Sheet(pixels, grid_infotext(painted[0, 0, 0].picture.infotext, wish.axes))
