"""Recipes of other programs, from the metadata of a file or from a text: whose they are is told by what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.checks import checked
from modelhub.merge.recipes.foreign import supermerger, webui
from modelhub.merge.recipes.foreign.json_text import read_json, table_or_nothing, text_of
from modelhub.merge.recipes.foreign.mecha import read_mecha
from modelhub.merge.recipes.parts import Recipe
from modelhub.text import brief

#: Where programs keep their recipes in the metadata of a file.
MECHA, WEBUI, MODELS = "mecha_recipe", "sd_merge_recipe", "sd_merge_models"
_READERS = {webui.TYPE: webui.read_webui, supermerger.TYPE: supermerger.read_supermerger}


def read_foreign(source: Mapping[str, str] | str) -> Recipe:
    """The recipe in the metadata of a file, or in a text: sd-mecha's lines, or JSON of AUTOMATIC1111 or supermerger.

    Models are named by their hashes where the recipe has them, and by their names; `notes` tells what the text does
    not say. Raises BadRecipeError for what has no equal here, with what it is.
    """
    if isinstance(source, str):
        return _of_text(source)
    if source.get(WEBUI):
        return _of_json(read_json(source[WEBUI], f"The metadata's {WEBUI}"), table_or_nothing(source.get(MODELS)))
    if source.get(MECHA):
        return checked(read_mecha(source[MECHA]))
    raise BadRecipeError("The metadata has no recipe of a program that modelhub knows.", f"Known are: {_known()}.")


def _of_text(text: str) -> Recipe:
    text = text.strip().removeprefix("\ufeff")
    if not text.startswith("{"):
        return checked(read_mecha(text))
    table = read_json(text, "The recipe")
    if WEBUI not in table:
        return _of_json(table, {})
    inner = table[WEBUI]
    known = table.get(MODELS) or {}
    return _of_json(_opened(inner, WEBUI), _opened(known, MODELS))


def _opened(value: Any, name: str) -> dict[str, Any]:
    """An object, which in metadata is a text."""
    if isinstance(value, dict):
        return value
    return read_json(value if isinstance(value, str) else json.dumps(value), f"The recipe's {name}")


def _of_json(table: dict[str, Any], known: Mapping[str, Any]) -> Recipe:
    kind = text_of(table, "type") or (webui.TYPE if "interp_method" in table else "")
    if kind not in _READERS:
        raise BadRecipeError(
            f"The recipe is of the kind '{brief(kind)}', which modelhub cannot read.", f"It reads: {_known()}."
        )
    return checked(_READERS[kind](table, known))


def _known() -> str:
    return f"{', '.join(_READERS)}, sd-mecha"
