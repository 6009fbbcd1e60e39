"""Recipe files: read with the path in every complaint, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from modelhub.errors import BadRecipeError, NotFoundError, UsageError, VanishedError, file_error
from modelhub.formats.handle import read_bounded
from modelhub.formats.writer import check_place, replacing, write_all
from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.parts import Recipe
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.text import is_utf8

#: More than any recipe; a model under a recipe's name is not read to its end.
_LARGEST = 1_000_000
_OURS = ".toml"
#: Endings of recipes: ours, sd-mecha's, and JSON of AUTOMATIC1111 and supermerger.
_ENDINGS = (_OURS, ".mecha", ".json")
#: JSON that stands for a model.
_MODELS = (".index.json", "model_index.json")


def is_recipe(word: str) -> bool:
    """Whether a word names a recipe file, and not a model."""
    low = word.lower()
    return low.endswith(_ENDINGS) and not low.endswith(_MODELS)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file, ours or of another program by its ending; `notes` of it tell what that does not say.

    Raises NotFoundError, FileError, BadRecipeError that begins with the path.
    """
    text = _text(path)
    try:
        return parse_recipe(text) if path.suffix.lower() not in _ENDINGS[1:] else read_foreign(text)
    except BadRecipeError as error:
        raise BadRecipeError(f"{path}: {error.message}", error.hint) from error


def _text(path: Path) -> str:
    try:
        size, content = read_bounded(path, _LARGEST)
    except VanishedError as error:  # no file that went bad: a name that was mistyped
        raise NotFoundError(error.message, "Check the path.") from error
    if size > _LARGEST:
        raise BadRecipeError(f"{path} is larger than any recipe.", "Name a recipe, or merge by a method.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecipeError(f"{path} is not a text file.", "A recipe is a text in UTF-8.") from error


def check_recipe_goal(path: Path, *, force: bool = False) -> None:
    """Raise what `write_recipe` would end in, as far as it can be told beforehand."""
    if path.suffix.lower() != _OURS:
        raise UsageError(f"{path} is not a name for a recipe.", "Let the name end in .toml.")
    try:
        check_place(path, force=force)
    except OSError as error:
        raise file_error(error, path) from error


def write_recipe(text: str, path: Path, *, force: bool = False) -> None:
    """Write a recipe to a file, whole or not at all. Raises FileError, UsageError for names that are no UTF-8."""
    if not is_utf8(text):
        raise UsageError("The recipe names a model whose name is not in UTF-8.", "Rename that file, or name its #id.")
    with replacing(path, force=force) as file:
        write_all(file, text.encode("utf-8"))
