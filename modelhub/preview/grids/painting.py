"""Painting: the pictures of a grid, one model after the other, with one renderer that follows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from modelhub.jobs import QUIET, Job
from modelhub.preview.grids.cells import Cell
from modelhub.preview.grids.ready import Checked
from modelhub.preview.pictures.picture import Picture
from modelhub.preview.render import Renderer
from modelhub.preview.request import Request


class Painted(NamedTuple):
    """A cell with its picture, and what the renderer had to say."""

    cell: Cell
    picture: Picture
    notes: tuple[str, ...]


def paint(groups: Sequence[Checked], job: Job = QUIET) -> Iterator[Painted]:
    """Render every cell, in the order of the groups; cells that ask for the same are rendered once.

    A picture is the same to the last bit as if it were rendered alone. Raises what `Renderer` raises.
    """
    total, done = sum(len(group.group.cells) for group in groups), 0
    renderer: Renderer | None = None
    with job.phase("pictures", total, "pictures") as advance:
        for group in groups:
            renderer = _following(renderer, group, job.part(f"{done + 1}/{total}"))
            for request, cells in _requests(group).items():
                rendering = renderer.render(request, job.part(f"{done + 1}/{total}"))
                (picture,) = rendering.pictures
                for cell in cells:
                    yield Painted(cell, picture, rendering.notes)
                done += len(cells)
                advance(len(cells), item=f"{group.ready.name}, seed {picture.seed}", picture=picture.pixels)


def _requests(group: Checked) -> dict[Request, list[Cell]]:
    """Each request of a group once, with all cells that ask for it."""
    found: dict[Request, list[Cell]] = {}
    for cell in group.group.cells:
        request = replace(cell.request, prompt=group.ready.worded(cell.request.prompt), batch=1)
        found.setdefault(request, []).append(cell)
    return found


def _following(renderer: Renderer | None, group: Checked, job: Job) -> Renderer:
    ready = group.ready
    if renderer is None:
        return Renderer(ready.source, name=ready.name, job=job, **ready.options)
    renderer.follow(ready.source, name=ready.name, job=job, **ready.options)
    return renderer
