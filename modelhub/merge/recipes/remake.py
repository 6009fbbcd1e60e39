"""Remake: run the recipe again that a file carries, whoever wrote it, with its models found wherever they are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelhub.catalog.opener import Parent
from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.merge.ancestry.table import OURS, RECIPES, ancestors_recipes
from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.parts import ModelRef, Recipe
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.text import brief


def recipe_of(metadata: Mapping[str, str]) -> Recipe:
    """The recipe that a file carries in its metadata: ours, else one of another program.

    Raises NotFoundError when there is none, BadRecipeError for one that cannot be read or has no equal here.
    """
    if metadata.get(OURS):
        return parse_recipe(metadata[OURS])
    if any(metadata.get(name) for name in RECIPES):
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


def remaking(metadata: Mapping[str, str], open: Callable[[str], Parent]) -> Callable[[str], Parent]:
    """`open`, that says of a missing model whether the file carries how it was made. For `plan(recipe, ...)`."""
    try:
        recipe = recipe_of(metadata)
    except (NotFoundError, BadRecipeError):
        return open
    known = ancestors_recipes(metadata)

    def opened(ref: str) -> Parent:
        try:
            return open(ref)
        except NotFoundError as error:
            model = next((one for one in recipe.models.values() if ref in (one.ref, one.sha256)), None)
            if model is None or (ref == model.sha256 != model.ref):
                raise
            raise _missing(model, known) from error

    return opened


def _missing(model: ModelRef, known: Mapping[str, Mapping[str, str]]) -> NotFoundError:
    by_hash = f" (sha256 {model.sha256[:10]}…)" if model.sha256 else ""
    what = f"The model '{brief(model.ref)}'{by_hash} is not in the library"
    if model.sha256 in known:
        return NotFoundError(
            f"{what}; it was a merge itself, and the file carries its recipe.",
            f"Make it first: `modelhub remake FILE --ancestor {model.sha256[:10] if model.sha256 else ''} -o OUT`.",
        )
    hint = "Scan the folder that it is in" + (", or get it: `modelhub get HASH`." if model.sha256 else ".")
    return NotFoundError(f"{what}.", hint.replace("HASH", (model.sha256 or "")[:10]))
