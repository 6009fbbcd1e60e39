"""Recipe files on the command line."""

from __future__ import annotations

from pathlib import Path

from modelhub.errors import UsageError, file_error
from modelhub.merge.recipe import Recipe, parse_recipe


def is_recipe(word: str) -> bool:
    """Whether a word of the command line names a recipe file."""
    return word.endswith(".toml")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. Raises FileError, BadRecipeError."""
    try:
        return parse_recipe(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_error(error, path) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file.", "A recipe is TOML in UTF-8.") from error
