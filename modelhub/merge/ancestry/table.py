"""Ancestry: what a merged file carries of the models that went into it, and into those, without any of their files.

`sd_merge_models` is AUTOMATIC1111's table of names, hashes and recipes. `modelhub.ancestry` has the recipes of parents
that are merges themselves, as they carry them; it is a JSON list, because programs that take every text in braces for a
table fail when they write it back. Both are bounded: the nearest generations are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from modelhub.catalog.parents import RECIPES, recipe_key
from modelhub.formats.hashes import autov1
from modelhub.merge.ancestry.naming import file_name
from modelhub.merge.ancestry.places import unplaced, unplaced_text
from modelhub.merge.inputs.model import Model
from modelhub.merge.recipes.foreign.json_text import read_json_list, table_or_nothing
from modelhub.merge.recipes.foreign.reading import MODELS, WEBUI
from modelhub.merge.recipes.parts import ModelRef, is_sha256

ANCESTRY, LEFT_OUT = "modelhub.ancestry", "modelhub.ancestry_left_out"
#: What a table may cost, in characters; every mark of JSON counts as several, because readers of headers count them.
_MAX_TABLE, _MARK = 500_000, 4
_MAX_ENTRY = 100_000


class Carried(NamedTuple):
    """The two tables as texts, and how many ancestors they had no room for."""

    models: str
    ancestry: str
    left_out: int


def carried(models: Mapping[str, Model], refs: Mapping[str, ModelRef]) -> Carried:
    """What a merge of `models` is to carry; `refs` are the recipe's names for them, under the same letters."""
    table, lost_models = _kept(_models(models, refs))
    ancestry, lost = _kept(_recipes(models, refs))
    before = sum(_left_out(_metadata(model)) for model in models.values())
    listed = [{"sha256": sha256, **entry} for sha256, entry in ancestry.items()]
    return Carried(json.dumps(table), json.dumps(listed) if listed else "", before + max(lost, lost_models))


def _metadata(model: Model) -> Mapping[str, str]:
    return model.parent.source.header.metadata


def _models(models: Mapping[str, Model], refs: Mapping[str, ModelRef]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Hash and entry of every parent, then of their ancestors, as AUTOMATIC1111 writes them."""
    for key, model in models.items():
        if model.parent.sha256:
            yield (
                model.parent.sha256,
                {
                    "name": file_name(refs[key], model.parent),
                    "legacy_hash": autov1(model.parent.path),
                    "sd_merge_recipe": unplaced(table_or_nothing(_metadata(model).get(WEBUI), _MAX_ENTRY)) or None,
                },
            )
    for model in models.values():
        for sha256, entry in table_or_nothing(_metadata(model).get(MODELS), 2 * _MAX_TABLE).items():
            if isinstance(entry, dict) and len(sha256) <= 100:
                yield sha256, unplaced(entry)


def _recipes(models: Mapping[str, Model], refs: Mapping[str, ModelRef]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Hash and recipe of every parent that is a merge, then of their ancestors."""
    for key, model in models.items():
        said = recipe_key(_metadata(model))
        if said and model.parent.sha256:
            text = unplaced_text(_metadata(model)[said])
            yield model.parent.sha256, {"name": file_name(refs[key], model.parent), said: text}
    for model in models.values():
        for sha256, entry in ancestors_recipes(_metadata(model)).items():
            yield (
                sha256,
                {name: unplaced_text(text) if name in RECIPES else unplaced(text) for name, text in entry.items()},
            )


def ancestors_recipes(metadata: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """SHA256 of ancestors to what they said of themselves: their name, and their recipe under the key it stood under.

    Also those that only AUTOMATIC1111's table tells of.
    """
    found: dict[str, dict[str, str]] = {}
    for entry in read_json_list(metadata.get(ANCESTRY), 2 * _MAX_TABLE):
        texts = {name: value for name, value in entry.items() if isinstance(value, str)}
        sha256 = texts.pop("sha256", "")
        if is_sha256(sha256) and any(texts.get(name) for name in RECIPES):
            found.setdefault(sha256, {name: texts[name] for name in ("name", *RECIPES) if name in texts})
    for sha256, entry in table_or_nothing(metadata.get(MODELS), 2 * _MAX_TABLE).items():
        recipe = entry.get(WEBUI) if isinstance(entry, dict) else None
        if is_sha256(sha256) and isinstance(recipe, dict) and recipe.get("type") != "modelhub":
            found.setdefault(sha256, {"name": str(entry.get("name") or ""), WEBUI: json.dumps(recipe)})
    return found


def _left_out(metadata: Mapping[str, str]) -> int:
    text = metadata.get(LEFT_OUT, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def _kept(entries: Iterable[tuple[str, dict[str, Any]]]) -> tuple[dict[str, Any], int]:
    """The entries that there is room for, each hash once and the first told of it, and how many there was none for."""
    found: dict[str, Any] = {}
    lost: set[str] = set()
    room = _MAX_TABLE
    for sha256, entry in entries:
        if sha256 in found or sha256 in lost:
            continue
        cost = _cost(json.dumps({sha256: entry}))
        if cost > min(room, _MAX_ENTRY):
            lost.add(sha256)
        else:
            found[sha256] = entry
            room -= cost
    return found, len(lost)


def _cost(text: str) -> int:
    return len(text) + _MARK * sum(map(text.count, '"{[:,\\'))
