"""The part of the demo about pictures: a grid over block weights, and a picture that is read again and enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.cli.info_words import generation_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.jobs import Job
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request

#: Where a style lives: weights of the pastel model in the blocks before the middle, and in those behind it.
AXES = ("IN00-IN11=0,0.5,1", "OUT00-OUT11=0,0.5,1")


class BlockGrid(NamedTuple):
    """The sheet [H, W, 3], and by how much of 255 pixels differ between its outer columns, and its outer rows."""

    sheet: NDArray[np.uint8]
    across: float
    down: float


def block_grid(recipe: Recipe, request: Request, opener: Opener, job: Job) -> BlockGrid:
    """The grid of a recipe over `AXES`, none of whose merges is written."""
    from modelhub.catalog.blocks import all_blocks
    from modelhub.merge.planning.plan import plan
    from modelhub.merge.recipes.varying import varied
    from modelhub.preview.grids.axes import read_axis
    from modelhub.preview.grids.cells import cells, in_order
    from modelhub.preview.grids.drawing import draw
    from modelhub.preview.grids.painting import paint
    from modelhub.preview.grids.ready import Ready, checked
    from modelhub.preview.grids.wish import Wish

    axes = [read_axis(axis, request, (), all_blocks()) for axis in AXES]
    groups = in_order(cells(Wish(recipe.name), request, axes))
    plans = [plan(varied(recipe, {}, dict(group.wish.blocks)), opener) for group in groups]
    ready = [checked(group, Ready(one, recipe.name, {})) for group, one in zip(groups, plans, strict=True)]
    pictures = {one.cell.place: one.picture.pixels for one in paint(ready, job)}
    last = len(axes[0].values) - 1
    across = [_apart(pictures[0, y, 0], pictures[last, y, 0]) for y in range(last + 1)]
    down = [_apart(pictures[x, 0, 0], pictures[x, last, 0]) for x in range(last + 1)]
    return BlockGrid(draw(axes, pictures), sum(across) / len(across), sum(down) / len(down))


def _apart(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    return float(abs(one.astype("i2") - two.astype("i2")).mean())


def told(catalog: Catalog, path: Path) -> Iterator[str]:
    """What a picture says of itself, and which of its models are here."""
    from modelhub.preview.pictures.owned import owned
    from modelhub.preview.pictures.reading.read import read_generation

    generation = read_generation(path)
    return generation_lines(str(path), generation, list(owned(catalog, generation.models)))


def enlarge(path: Path, upscaler: Path, opener: Opener, job: Job) -> Path:
    """Write the picture of `path` beside it, as large as the upscaler makes it; returns where."""
    from modelhub.formats.whole_images import load_whole, save_whole
    from modelhub.preview.upscaling.loading import load_upscaler
    from modelhub.preview.upscaling.whole import natural_goal, upscale

    network = load_upscaler(opener(str(upscaler)).source, job=job, name=upscaler.stem)
    goal = natural_goal(network)
    target = path.with_name(f"{path.stem}-{goal}.png")
    save_whole(target, upscale(load_whole(path), goal, network, job), force=True)
    return target
