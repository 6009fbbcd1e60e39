"""What the merge lab does in its worker: render a model or an unwritten merge, write a merge, write its recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import Opener
from modelhub.errors import FileExistsAlreadyError, file_error
from modelhub.jobs import Job
from modelhub.merge.plan import Plan, plan
from modelhub.merge.recipe import Recipe, simple_recipe
from modelhub.merge.recipe_files import write_recipe
from modelhub.scan.adding import add_written
from modelhub.text import shorten
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.merge.execute import MergeReport
    from modelhub.preview.picture import Picture
    from modelhub.preview.request import Request


@dataclass(frozen=True, slots=True)
class Part:
    """One picture of a preview: where it is shown, its title, and the path or the recipe of the model."""

    letter: str
    title: str
    path: Path | None = None
    recipe: Recipe | None = None


def parts(models: Sequence[Asset], method: str, parameters: Mapping[str, float]) -> list[Part]:
    """The pictures of a preview: the merge first, because it is what is asked for, then the parents.

    A parent that is only a denoiser is shown in the shell of A: the weighted sum at 1 is exactly that.
    """
    recipe = merge_recipe(models, method, parameters)
    return [
        Part("merge", _title(recipe), recipe=recipe),
        *(_parent(letter, model, models[0]) for letter, model in zip("ABC", models, strict=False)),
    ]


def _parent(letter: str, model: Asset, first: Asset) -> Part:
    if model.kind == "diffusion-model" and first.kind == "checkpoint":
        inside = simple_recipe("weighted-sum", [str(first.path), str(model.path)], parameters={"alpha": 1.0})
        return Part(letter, f"{model.path.stem} in A", recipe=inside)
    return Part(letter, model.path.stem, path=model.path)


def _title(recipe: Recipe) -> str:
    numbers = " ".join(f"{value:g}" for value in recipe.steps[-1].parameters.values())
    return f"merge {numbers}".strip()


def merge_recipe(models: Sequence[Asset], method: str, parameters: Mapping[str, float]) -> Recipe:
    """The recipe of one step over the files of `models`. Raises BadRecipeError."""
    name = " + ".join(shorten(model.path.stem, 40) for model in models)
    return simple_recipe(method, [str(model.path) for model in models], name=name, parameters=parameters)


def default_name(models: Sequence[Asset], method: str, parameters: Mapping[str, float]) -> Path:
    """Where a merge goes if the user says nothing: beside A, with the parents and the numbers in its name."""
    stems = "-".join(
        "".join(c if c.isprintable() and c not in "/\\" else "_" for c in shorten(m.path.stem, 24)) for m in models
    )
    numbers = "-".join(f"{value:g}" for value in parameters.values())
    return models[0].path.parent / f"{stems}-{method}-{numbers}.safetensors".replace("…", "_")


def render(library: Library, part: Part, request: Request, device: str, job: Job) -> Picture:
    """Render one part. Raises what opening, planning and rendering raise."""
    from modelhub.preview.render import Renderer

    with _opener(library, job) as opener:
        if part.recipe is not None:
            planned = plan(part.recipe, opener)
            text = planned.header.metadata["modelhub.recipe"]
            renderer = Renderer(planned, name=part.title, recipe=text, device=device, job=job)
        else:
            parent = opener(str(part.path))
            renderer = Renderer(parent.source, name=parent.name, sha256=parent.sha256, device=device, job=job)
        return renderer.render(request, job).pictures[0]


def save(library: Library, recipe: Recipe, path: Path, job: Job) -> MergeReport:
    """Write the merge to a new file and catalog it. Raises what `merge` raises."""
    from modelhub.merge.execute import merge

    with library.open() as catalog, Opener(catalog, hashed=True, job=job) as opener:
        planned = plan(recipe, opener)
        report = merge(planned, path, job=job)
        add_written(catalog, report.written)
    return report


def save_recipe(library: Library, recipe: Recipe, path: Path, job: Job) -> Plan:
    """Write the recipe to a new file, after a look whether the models fit. Raises FileError, IncompatibleError."""
    with _opener(library, job) as opener:
        planned = plan(recipe, opener)
    try:
        taken = path.exists()
    except OSError as error:
        raise file_error(error, path) from error
    if taken:
        raise FileExistsAlreadyError(f"{path} exists already.", "Choose another name.")
    write_recipe(recipe.dumps(), path)
    return planned


@contextmanager
def _opener(library: Library, job: Job) -> Iterator[Opener]:
    with library.open() as catalog, Opener(catalog, job=job) as opener:
        yield opener
