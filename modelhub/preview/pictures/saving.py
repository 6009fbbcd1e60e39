"""Saving pictures: where those of a batch go, whether they can, and each whole with its infotext."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.formats.images import check_png, save_png

if TYPE_CHECKING:
    from modelhub.preview.pictures.picture import Picture


def picture_paths(path: Path, count: int) -> list[Path]:
    """Where `count` pictures go: `path` itself for one, path-1, path-2, … for more."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def check_pictures(path: Path, count: int, *, force: bool = False) -> None:
    """Raise what saving `count` pictures to `path` would end in, before they are rendered."""
    for goal in picture_paths(path, count):
        check_png(goal, force=force)


def save_pictures(pictures: Sequence[Picture], path: Path, *, force: bool = False) -> list[Path]:
    """Save every picture with its infotext; returns the paths. Raises FileError."""
    paths = picture_paths(path, len(pictures))
    for picture, goal in zip(pictures, paths, strict=True):
        save_png(goal, picture.pixels, picture.infotext, force=force)
    return paths
