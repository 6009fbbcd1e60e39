"""AUTOMATIC1111's `sd_merge_recipe`: two or three models by hash, one multiplier.

It computes in the files' own precision and merges the VAE like everything else; so does the recipe that is made of it.
Source of the fields: the checkpoint merger of stable-diffusion-webui (`modules/extras.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.json_text import number_of, text_of
from modelhub.merge.recipes.foreign.named import bare_name, model_of
from modelhub.merge.recipes.parts import MERGE_VAE, ModelRef, Recipe, Step
from modelhub.text import brief

TYPE = "webui"
HASHES = ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash")
#: Name of the method to ours, and how many models it takes.
METHODS = {"Weighted sum": ("weighted-sum", 2), "Add difference": ("add-difference", 3)}
NOTHING = "No interpolation"


def read_webui(table: Mapping[str, Any], known: Mapping[str, Any]) -> Recipe:
    """The recipe in a table of type "webui"; `known` has the names of models by hash. Raises BadRecipeError."""
    method = text_of(table, "interp_method")
    if method == NOTHING:
        name, count, alpha = "weighted-sum", 1, 0.0
    elif method in METHODS:
        (name, count), alpha = METHODS[method], number_of(table, "multiplier")
    else:
        raise BadRecipeError(
            f"The recipe's method '{brief(method)}' is none that modelhub knows.",
            f"Known are: {', '.join((*METHODS, NOTHING))}.",
        )
    models = {letter: model_of(table.get(key), known, key) for letter, key in zip("ABC", HASHES[:count], strict=False)}
    inputs = tuple(models) if count > 1 else ("A", "A")
    step = Step(name, inputs, {"alpha": alpha})
    vae, baked = _vae(table, method)
    half = bool(table.get("save_as_half"))
    return Recipe(
        models | baked,
        (step,),
        text_of(table, "custom_name"),
        "fp16" if half else None,
        vae,
        compat="a1111" if count > 1 else None,
        notes=_notes(table),
    )


def _vae(table: Mapping[str, Any], method: str) -> tuple[str | None, dict[str, ModelRef]]:
    baked = text_of(table, "bake_in_vae")
    if baked and baked != "None":
        return "VAE", {"VAE": ModelRef(bare_name(baked))}
    return (None if method == NOTHING else MERGE_VAE), {}


def _notes(table: Mapping[str, Any]) -> tuple[str, ...]:
    discarded = text_of(table, "discard_weights")
    if not discarded:
        return ()
    return (f"Tensors that fit the pattern {brief(discarded)} were left out of the original; here they are kept.",)
