"""The layout of a grid: the axes that are said, and those that several models, a batch and parents are on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from modelhub.cli.grid_models import parents_of, recipes_in
from modelhub.cli.grid_words import LETTERS
from modelhub.errors import UsageError
from modelhub.merge.recipes.files import is_recipe
from modelhub.merge.recipes.finding import Carrier, find
from modelhub.settings import user_path

if TYPE_CHECKING:
    import argparse

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.preview.grids.axes import Axis
    from modelhub.preview.grids.cells import Cell
    from modelhub.preview.grids.family import Family
    from modelhub.preview.request import Request


class Layout(NamedTuple):
    """The axes, and which of their values are the merge and its parents."""

    axes: Sequence[Axis]
    family: Family | None


def layout(catalog: Catalog, opener: Opener, args: argparse.Namespace, request: Request) -> Layout:
    """Where everything stands. Raises UsageError, and what `parents_of` raises."""
    from modelhub.preview.grids.axes import model_axis
    from modelhub.preview.grids.family import free_place, placed, with_parents

    axes = _with_batch([_named(axis, opener) for axis in _said(args, request)], request)
    on_axis = next((at for at, axis in enumerate(axes) if axis.name == "model"), None)
    models = _named(model_axis("model", args.sources), opener)
    if len(args.sources) == 1 and on_axis is None:
        if not (args.parents or args.report):
            return Layout(axes, None)
        _check_parents(axes)
        return Layout(*with_parents(axes, models, parents_of(catalog, opener, args.sources[0])))
    if args.parents:
        raise UsageError("Parents are put beside one model.", "Name one recipe, or leave out --parents.")
    if on_axis is None:
        at = free_place(axes, "the models")
        return _beside(placed(axes, at, models), at)
    if len(args.sources) > 1:
        raise UsageError("The models are named twice.", "Name them as SOURCE, or on an axis.")
    return _beside(axes, on_axis) if args.report else Layout(axes, None)


def _check_parents(axes: Sequence[Axis]) -> None:
    """Raise UsageError for a recipe that has other parents from picture to picture."""
    for axis in axes:
        if axis.of_recipe and axis.of_files:
            raise UsageError(
                f"The parents are not the same in all pictures: the axis {axis.name} is over one of them.",
                "Leave out --parents and --report, or the axis.",
            )


def _beside(axes: Sequence[Axis], at: int) -> Layout:
    """Models on an axis, of which the first is compared with all others."""
    from modelhub.preview.grids.family import Family

    count = len(axes[at].values)
    if count < 2:
        raise UsageError("There is one model, and none to compare it with.", "Name others, or leave out --report.")
    return Layout(axes, Family(at, (0,), tuple(range(1, count))))


def axes_named(args: argparse.Namespace) -> list[str]:
    """The names of the axes that are said."""
    from modelhub.preview.grids.names import axis_key

    return [axis_key(text) for text in _texts(args) if text is not None]


def _texts(args: argparse.Namespace) -> list[str | None]:
    """What is said of x, y and z. Raises UsageError for two axes in one place."""
    said = {letter: getattr(args, letter) or [None] for letter in LETTERS}
    for letter, texts in said.items():
        if len(texts) > 1:
            raise UsageError(f"There are {len(texts)} axes --{letter}.", "Put one on each of --x, --y and --z.")
    return [texts[0] for texts in said.values()]


def _said(args: argparse.Namespace, request: Request) -> list[Axis]:
    from modelhub.merge.recipes.varying import block_names, parameter_names
    from modelhub.preview.grids.axes import read_axis
    from modelhub.preview.grids.family import EMPTY

    recipes = [*recipes_in(_models(args, request))]
    own = (
        _shared([parameter_names(recipe) for recipe in recipes]),
        block_names() if recipes else (),
        _shared([recipe.models for recipe in recipes]),
    )
    axes = [read_axis(text, request, *own) if text is not None else EMPTY for text in _texts(args)]
    while axes and not axes[-1].values:
        axes.pop()
    return axes


def _shared(names: Sequence[Collection[str]]) -> list[str]:
    """The names that all recipes have."""
    return [name for name in names[0] if all(name in other for other in names)] if names else []


def _named(axis: Axis, opener: Opener) -> Axis:
    """An axis of files whose labels are names where their REFs are numbers or hashes. Raises what opening raises."""
    if not axis.of_files:
        return axis
    values = (
        one._replace(label=one.label.removesuffix(one.value) + opener(one.value).name)
        if re.fullmatch(r"#\d+|[0-9a-fA-F]{6,}", one.value)
        else one
        for one in axis.values
    )
    return replace(axis, values=tuple(values))


def _models(args: argparse.Namespace, request: Request) -> list[str]:
    """The models that are rendered: those on an axis, else those named as SOURCE."""
    from modelhub.preview.grids.axes import read_axis
    from modelhub.preview.grids.names import axis_key

    for text in filter(None, _texts(args)):
        if axis_key(text) == "model":
            return [value.value for value in read_axis(text, request).values]
    return list(args.sources)


def _with_batch(axes: list[Axis], request: Request) -> list[Axis]:
    """A batch is an axis over seeds."""
    from modelhub.preview.grids.axes import read_axis
    from modelhub.preview.grids.family import free_place, placed

    if request.batch == 1:
        return axes
    if any(axis.name == "seed" for axis in axes) or request.variation is not None:
        raise UsageError("A grid has one picture in each cell.", "Leave out --batch, or put the seeds on an axis.")
    seeds = read_axis(f"seed={request.seed}-{request.seed + request.batch - 1}", request)
    return placed(axes, free_place(axes, "the batch"), seeds)


def cells_of(axes: Sequence[Axis], args: argparse.Namespace, request: Request) -> list[Cell]:
    """All cells; numbers and models of a recipe are for recipes, and change no other model."""
    from modelhub.preview.grids.cells import cells
    from modelhub.preview.grids.wish import Wish

    wish = Wish(args.sources[0], loras=tuple(args.lora), vae=args.vae or "", refiner=args.refiner or "")
    found = cells(wish, replace(request, batch=1), axes)
    return [one if is_recipe(one.wish.source) else replace(one, wish=one.wish.unchanged) for one in found]


def texts_of(cells: Sequence[Cell]) -> Iterator[str]:
    """Every prompt of every cell."""
    for request in (cell.request for cell in cells):
        yield from (request.prompt, request.negative)
        if request.hires is not None:
            yield from (request.hires.prompt, request.hires.negative)


def architecture_of(opener: Opener, source: str) -> str | None:
    """That of a model, or of the first model of a recipe. Raises what opening raises."""
    from modelhub.catalog.folder.original import in_original

    for recipe in recipes_in([source]):
        letters = [recipe.base] if recipe.base else [key for key in recipe.models if key not in recipe.baked]
        key = letters[0]
        parent = find(key, recipe.models[key], opener, Carrier(user_path(source), {}))
        return in_original(parent.source)[1].architecture
    return in_original(opener(source).source)[1].architecture
