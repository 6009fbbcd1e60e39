"""What the merge lab does in its workers beside rendering: look at an unwritten merge, write it or its recipe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.opener import Opener
from modelhub.errors import FileExistsAlreadyError
from modelhub.jobs import Job
from modelhub.lora.baking.merged import changes
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.files import check_recipe_goal, write_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.recipe import Recipe
from modelhub.scan.adding import add_written
from modelhub.text import human_size, plural
from modelhub.tui.lab.opening import Opened as Opened
from modelhub.tui.lab.opening import look_up as look_up
from modelhub.tui.lab.opening import open_recipe as open_recipe
from modelhub.tui.lab.recipes import LARGEST as LARGEST
from modelhub.tui.lab.recipes import Part as Part
from modelhub.tui.lab.recipes import default_name as default_name
from modelhub.tui.lab.recipes import merge_recipe as merge_recipe
from modelhub.tui.lab.recipes import parts as parts
from modelhub.tui.lab.recipes import preset_names as preset_names
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.merge.execute import MergeReport
    from modelhub.preview.pictures.picture import Picture
    from modelhub.tui.lab.shots import Shot


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a merge would be: bytes of the file and free ones beside it, tensors in words, and what is to be minded."""

    size: int
    free: int | None
    tensors: str
    warnings: tuple[str, ...]

    @property
    def facts(self) -> str:
        """`2.13 GB · 120 GB free · 686 merged, 3 copied`."""
        free = f"{human_size(self.free)} free" if self.free is not None else ""
        return " · ".join(filter(None, (human_size(self.size), free, self.tensors)))


def look(library: Library, recipe: Recipe, goal: Path, job: Job, file: Path | None = None) -> Outlook:
    """What the merge to `goal` would be, by headers alone. Raises what planning raises."""
    with _opener(library, job) as opener:
        planned = plan(recipe, opener, _carrier(file), changes)
    size, free, report = planned.header.file_size, _free(goal), planned.report
    counts = {"merged": report.merged, "with LoRAs": report.baked, "copied": report.copied, "added": report.added,
              "dropped": report.dropped}  # fmt: skip
    tensors = ", ".join(f"{len(names):,} {word}" for word, names in counts.items() if names)
    full = (
        [f"There is no room: {human_size(size)} are needed, {human_size(free)} free."]
        if free is not None and free < size
        else []
    )
    return Outlook(size, free, tensors, (*full, *report.warnings))


def _free(goal: Path) -> int | None:
    try:
        return shutil.disk_usage(goal.parent).free
    except OSError:
        return None


@contextmanager
def without_force() -> Iterator[None]:
    """The hint of a file that is there already speaks of an option that no dialog has."""
    try:
        yield
    except FileExistsAlreadyError as error:
        raise FileExistsAlreadyError(error.message, "Choose another name.") from error


@without_force()
def save(
    library: Library,
    recipe: Recipe,
    path: Path,
    file: Path | None = None,
    picture: Picture | None = None,
    *,
    job: Job,
) -> MergeReport:
    """Write the merge to a new file and catalog it; `file` is the recipe's own, `picture` goes beside it.

    Raises what `merge` raises, and FileError for the picture before anything is written.
    """
    from modelhub.formats.images import check_png, save_png
    from modelhub.merge.engine.starting import start_torch
    from modelhub.merge.execute import check_goal, merge

    beside = path.with_suffix(".preview.png")
    with library.open() as catalog:
        with Opener(catalog, job=job) as headers:  # what headers alone can refuse, before gigabytes are hashed
            planned = plan(recipe, headers, _carrier(file), changes)
            check_goal(planned, path)
        if picture is not None:
            check_png(beside)
        if planned.computes:
            start_torch()
        with Opener(catalog, hashed=True, job=job) as opener:
            report = merge(plan(recipe, opener, _carrier(file), changes), path, job=job)
        if picture is not None:
            save_png(beside, picture.pixels, picture.infotext)
        add_written(catalog, report.written)
    return report


@without_force()
def save_recipe(library: Library, recipe: Recipe, path: Path, job: Job, file: Path | None = None) -> Plan:
    """Write the recipe to a new file, after a look whether the models fit. Raises FileError, IncompatibleError."""
    check_recipe_goal(path)
    with _opener(library, job) as opener:
        planned = plan(recipe, opener, _carrier(file), changes)
    write_recipe(recipe.dumps(), path)
    return planned


@without_force()
def save_shot(shot: Shot, path: Path) -> str:
    """Save the pictures of a model as PNG with their infotexts; returns what was written. Raises FileError."""
    from modelhub.preview.pictures.saving import check_pictures, save_pictures

    check_pictures(path, len(shot.pictures))
    paths = save_pictures(shot.pictures, path)
    return paths[0].name if len(paths) == 1 else f"{plural(len(paths), 'picture')}, {paths[0].name} the first"


def _carrier(file: Path | None) -> Carrier | None:
    return Carrier(file, {}) if file else None


@contextmanager
def _opener(library: Library, job: Job) -> Iterator[Opener]:
    with library.open() as catalog, Opener(catalog, job=job) as opener:
        yield opener
