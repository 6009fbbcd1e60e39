"""Provenance: what a merged file says of itself in its metadata, in our own words and in those that other tools read.

`modelhub.recipe` holds the whole recipe with the parents' hashes; `sd_merge_recipe` and `sd_merge_models` are
AUTOMATIC1111's, with the parents' own ancestry kept; `modelspec.*` follows ModelSpec 1.0.1. All values are strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelhub import __version__
from modelhub.merge.align import Model
from modelhub.merge.recipe import Recipe

_KEPT = ("modelspec.architecture", "modelspec.prediction_type", "modelspec.resolution", "modelspec.implementation")
#: Characters of a parent's ancestry that are passed on: thousands of ancestors, and no header too large to read again.
_MAX_TABLE = 500_000
_A1111_NAMES = {"weighted-sum": "Weighted sum", "add-difference": "Add difference"}


def provenance(recipe: Recipe, models: Mapping[str, Model], first: Model) -> dict[str, str]:
    """The metadata of the file that `recipe` makes from `models`; `first` gives what describes the architecture."""
    title = recipe.name or " + ".join(model.parent.name for model in models.values())
    parents = {name: first.source.header.metadata.get(name) for name in _KEPT}
    return {
        "format": "pt",
        "modelhub.version": __version__,
        "modelhub.recipe": recipe.dumps(),
        "sd_merge_recipe": json.dumps(_a1111_recipe(recipe, models)),
        "sd_merge_models": json.dumps(_ancestry(models)),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": title,
        "modelspec.merged_from": ", ".join(model.parent.name for model in models.values()),
        **{name: value for name, value in parents.items() if value},
    }


def _a1111_recipe(recipe: Recipe, models: Mapping[str, Model]) -> dict[str, Any]:
    last = recipe.steps[-1]
    hashes = [models[key].parent.sha256 if key in models else None for key in last.inputs]
    one, two, three = (*hashes, None, None, None)[:3]
    return {
        "type": "modelhub",
        "primary_model_hash": one,
        "secondary_model_hash": two,
        "tertiary_model_hash": three,
        "interp_method": _A1111_NAMES.get(last.method, last.method),
        "multiplier": last.parameters.get("alpha"),
        "save_as_half": recipe.dtype == "fp16",
        "custom_name": recipe.name,
        "bake_in_vae": models[recipe.vae].parent.name if recipe.vae and recipe.vae in models else "",
    }


def _ancestry(models: Mapping[str, Model]) -> dict[str, Any]:
    """SHA256 to name and recipe of every parent, and of the parents' parents as far as their metadata tells."""
    known: dict[str, Any] = {}
    for model in models.values():
        metadata = model.source.header.metadata
        known |= _table(metadata.get("sd_merge_models"))
        if model.parent.sha256:
            recipe = _table(metadata.get("sd_merge_recipe")) or None
            known[model.parent.sha256] = {
                "name": model.parent.path.name,
                "legacy_hash": None,
                "sd_merge_recipe": recipe,
            }
    return known


def _table(text: str | None) -> dict[str, Any]:
    """A JSON table from another tool's metadata; anything else, or a longer one than merges need, says nothing."""
    if text and len(text) > _MAX_TABLE:
        return {}
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
