"""Remake: the recipe that a file carries, whoever wrote it, or that of a model that went into it, to be run again."""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.catalog.parents import OURS, recipe_key
from modelhub.errors import NotFoundError
from modelhub.merge.ancestry.table import ancestors_recipes
from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.parts import Recipe
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.text import brief


def recipe_of(metadata: Mapping[str, str]) -> Recipe:
    """The recipe that a file carries in its metadata: ours, else one of another program.

    Raises NotFoundError when there is none, BadRecipeError for one that cannot be read or has no equal here.
    """
    key = recipe_key(metadata)
    if key == OURS:
        return parse_recipe(metadata[OURS])
    if key:
        return read_foreign(metadata)
    raise NotFoundError(
        "The file carries no recipe.",
        "Files that modelhub, AUTOMATIC1111, supermerger or sd-mecha merged carry one; `modelhub explain` may find it.",
    )


def ancestor_recipe(metadata: Mapping[str, str], word: str) -> Recipe:
    """The recipe of a model that went into a file, as the file carries it; `word` is its name or digits of its SHA256.

    Raises NotFoundError when it carries none, and what `recipe_of` raises.
    """
    return recipe_of(_entry(metadata, word))


def _entry(metadata: Mapping[str, str], word: str) -> dict[str, str]:
    known = ancestors_recipes(metadata)
    wanted = word.strip().lower()
    for sha256, entry in known.items():
        name = entry.get("name", "").lower()
        if wanted and wanted in (sha256, name, name.rpartition(".")[0]):
            return entry
    near = [entry for sha256, entry in known.items() if len(wanted) >= 6 and sha256.startswith(wanted)]
    if len(near) == 1:
        return near[0]
    names = ", ".join(brief(entry.get("name") or sha256[:10]) for sha256, entry in list(known.items())[:10])
    raise NotFoundError(
        f"The file carries no recipe of '{brief(word)}'.", f"It carries those of: {names}." if names else ""
    )
