"""Recipe files: read with the path in every complaint, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from modelhub.errors import BadRecipeError, UsageError, file_error
from modelhub.formats.writer import check_place, replacing, write_all
from modelhub.merge.recipe import Recipe, parse_recipe

#: More than any recipe; a model under a recipe's name is not read to its end.
_LARGEST = 1_000_000


def is_recipe(word: str) -> bool:
    """Whether a word names a recipe file, and not a model."""
    return word.endswith(".toml")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. Raises FileError, BadRecipeError that begins with the path."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise file_error(error, path) from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecipeError(f"{path} is not a text file.", "A recipe is TOML in UTF-8.") from error
    if len(content) > _LARGEST:
        raise BadRecipeError(f"{path} is larger than any recipe.", "Name a recipe, or merge by a method.")
    try:
        return parse_recipe(text)
    except BadRecipeError as error:
        raise BadRecipeError(f"{path}: {error.message}", error.hint) from error


def check_recipe_goal(path: Path, *, force: bool = False) -> None:
    """Raise what `write_recipe` would end in, as far as it can be told beforehand."""
    if not is_recipe(path.name):
        raise UsageError(f"{path} is not a name for a recipe.", "Let the name end in .toml.")
    try:
        check_place(path, force=force)
    except OSError as error:
        raise file_error(error, path) from error


def write_recipe(text: str, path: Path, *, force: bool = False) -> None:
    """Write a recipe to a file, whole or not at all. Raises FileError."""
    with replacing(path, force=force) as file:
        write_all(file, text.encode("utf-8"))
