"""Provenance: what a merged file says of itself in its metadata, in our own words and in those that other tools read.

`modelhub.recipe` holds the whole recipe with the parents' hashes, `modelhub.ancestry` the recipes of parents that are
merges; `sd_merge_recipe` and `sd_merge_models` are AUTOMATIC1111's, with the parents' own ancestry kept; `modelspec.*`
follows ModelSpec 1.0.1. All values are strings, and the same merge has the same ones whenever it is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelhub import __version__
from modelhub.catalog.parents import OURS
from modelhub.catalog.weighing.weight import Weight
from modelhub.merge.ancestry.modelspec import modelspec
from modelhub.merge.ancestry.naming import bare_ref, file_name, is_number, title
from modelhub.merge.ancestry.table import ANCESTRY, LEFT_OUT, carried
from modelhub.merge.inputs.model import Model
from modelhub.merge.recipes.foreign import webui
from modelhub.merge.recipes.foreign.reading import MODELS, WEBUI
from modelhub.merge.recipes.parts import Lora, Recipe, Step
from modelhub.merge.registry import find_method

#: Steps and LoRAs that a description has.
_TOLD = 10
_WEBUI_NAMES = {ours: theirs for theirs, (ours, _) in webui.METHODS.items()}


def provenance(recipe: Recipe, models: Mapping[str, Model], first: Model) -> dict[str, str]:
    """The metadata of the file that the `pinned` recipe makes; `first` gives what describes the architecture."""
    used = {key: models[key] for key in recipe.models}
    titles = [title(recipe.models[key], model.parent) for key, model in used.items()]
    tables = carried(used, recipe.models)
    parents = [model.parent.source.header.metadata for model in (first, *used.values())]
    ours = {OURS: _published(recipe, used).dumps(), ANCESTRY: tables.ancestry}
    ours[LEFT_OUT] = str(tables.left_out) if tables.left_out else ""
    return {
        "format": "pt",
        "modelhub.version": __version__,
        **{name: text for name, text in ours.items() if text},
        WEBUI: json.dumps(_webui_recipe(recipe, used)),
        MODELS: tables.models,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": recipe.name or " + ".join(titles),
        "modelspec.description": _description(recipe, dict(zip(used, titles, strict=True))),
        "modelspec.merged_from": ", ".join(titles),
        **modelspec(first.identity, parents),
    }


def pinned(recipe: Recipe, models: Mapping[str, Model]) -> Recipe:
    """The recipe with the hashes of its models, and names where it has numbers that only one catalog knows."""
    hashes = {key: model.parent.sha256 for key, model in models.items() if model.parent.sha256}
    found = recipe.pinned(hashes)
    refs = {
        key: replace(ref, ref=bare_ref(ref, models[key].parent)) if is_number(ref.ref) and ref.sha256 else ref
        for key, ref in found.models.items()
    }
    return replace(found, models=refs)


def _published(recipe: Recipe, models: Mapping[str, Model]) -> Recipe:
    """The recipe with its models by name and hash: where they lie tells whose machine it is, and nobody else's."""
    refs = {key: replace(ref, ref=bare_ref(ref, models[key].parent)) for key, ref in recipe.models.items()}
    return replace(recipe, models=refs)


def _webui_recipe(recipe: Recipe, models: Mapping[str, Model]) -> dict[str, Any]:
    """AUTOMATIC1111's own form; of type "modelhub" for what its merger could not have made."""
    last = recipe.steps[-1] if recipe.steps else None
    hashes = [models[key].parent.sha256 for key in _models_of(recipe)]
    alpha = last.parameters.get("alpha") if last else None
    first = (last.inputs[0] if last else recipe.base) or ""
    variant = models[first].identity.variant if first in models else None
    vae = recipe.vae if recipe.vae in models and recipe.vae != first else None
    return {
        "type": webui.TYPE if _is_webui(recipe) else "modelhub",
        **dict(zip(webui.HASHES, (*hashes, None, None, None), strict=False)),
        "interp_method": _WEBUI_NAMES.get(last.method, last.method) if last else webui.NOTHING,
        "multiplier": alpha if isinstance(alpha, int | float) else None,
        "save_as_half": recipe.dtype == "fp16",
        "custom_name": recipe.name,
        "config_source": 0,
        "bake_in_vae": file_name(recipe.models[vae], models[vae].parent) if vae else "None",
        "discard_weights": "",
        "is_inpainting": variant == "inpaint",
        "is_instruct_pix2pix": variant == "pix2pix",
    }


def _models_of(recipe: Recipe) -> list[str]:
    """The models that are merged, in the order in which steps name them: a single step may name one twice."""
    if recipe.base is not None:
        return [recipe.base]
    if len(recipe.steps) == 1:
        return list(recipe.steps[0].inputs)
    named = dict.fromkeys(name for step in recipe.steps for name in step.inputs)
    return [key for key in named if key in recipe.models]


def _is_webui(recipe: Recipe) -> bool:
    """Whether AUTOMATIC1111's merger could have made it, but for its roundings and its VAE."""
    if len(recipe.steps) != 1 or recipe.loras:
        return False
    step = recipe.steps[-1]
    limited = step.only or recipe.take or isinstance(step.parameters.get("alpha"), Weight)
    return step.method in _WEBUI_NAMES and not limited and recipe.dtype in (None, "fp16")


def _description(recipe: Recipe, titles: Mapping[str, str]) -> str:
    """In words, with the `titles` of models: `Merged by modelhub: Weighted sum (alpha 0.3), with style (0.8) baked in`.

    Steps are joined by `then`.
    """
    steps = ", then ".join(map(_in_words, recipe.steps[:_TOLD])) + (" …" if len(recipe.steps) > _TOLD else "")
    loras = ", ".join(f"{titles[lora.model]} ({_strength(lora)})" for lora in recipe.loras[:_TOLD])
    loras += " …" if len(recipe.loras) > _TOLD else ""
    if recipe.base is not None:
        return f"Baked by modelhub: {titles[recipe.base]}{f' with {loras}' if loras else ''}"
    return f"Merged by modelhub: {steps}{f', with {loras} baked in' if loras else ''}"


def _strength(lora: Lora) -> str:
    return "by block" if isinstance(lora.weight, Weight) else f"{lora.weight:g}"


def _in_words(step: Step) -> str:
    said = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in step.parameters.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
    said += [f"{name} by block" for name, value in step.parameters.items() if isinstance(value, Weight)]
    return find_method(step.method).title + (f" ({', '.join(said)})" if said else "")
