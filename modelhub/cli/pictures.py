"""Pictures that a command saves: where they go, and whether they can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import FileExistsAlreadyError, UsageError, file_error

if TYPE_CHECKING:
    from modelhub.preview.render import Rendering


def picture_paths(path: Path, count: int) -> list[Path]:
    """Where `count` pictures go: `path` itself for one, path-1, path-2, … for more."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def check_pictures(path: Path, count: int, *, force: bool = False) -> None:
    """Raise what saving `count` pictures to `path` would end in, before they are rendered."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path} is not a name for a picture.", "Let the name end in .png.")
    try:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{path.parent} is not a folder.", "Create it first.")
        taken = [goal for goal in picture_paths(path, count) if goal.exists() and not force]
    except OSError as error:
        raise file_error(error, path) from error
    if taken:
        raise FileExistsAlreadyError(
            f"{taken[0]} exists already.", "Use --force to replace it, or choose another name."
        )


def save_pictures(rendering: Rendering, path: Path, *, force: bool = False) -> list[Path]:
    """Save every picture with its infotext; returns the paths. Raises FileError."""
    from modelhub.formats.images import save_png

    paths = picture_paths(path, len(rendering.pictures))
    for picture, goal in zip(rendering.pictures, paths, strict=True):
        save_png(goal, picture.pixels, picture.infotext, force=force)
    return paths
