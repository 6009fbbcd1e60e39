"""Recipes made of what was asked for in words: one step over some models, LoRAs baked into one, or into a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from modelhub.catalog.weighing.weight import Weight
from modelhub.merge.recipes.checks import checked
from modelhub.merge.recipes.parts import MERGE_VAE, Lora, ModelRef, Recipe, Step, letters
from modelhub.merge.registry import find_method


def simple_recipe(
    method: str,
    refs: Sequence[str],
    *,
    name: str = "",
    parameters: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    vae: str | None = None,
    take: Mapping[str, str] | None = None,
    dtype: str | None = None,
    ema: str = "drop",
    compat: str | None = None,
    loras: Sequence[tuple[str, float | Weight]] = (),
) -> Recipe:
    """The recipe of one step over `refs`, which become A, B, C, with `loras` (REF and strength) baked into its result.

    `parameters` are as in TOML, or `Weight`. `vae` is one of these letters, a REF, or "merge"; `take` maps components
    to letters or REFs. Raises BadRecipeError, and NotFoundError for a method that does not exist.
    """
    models = {letter: ModelRef(ref) for letter, ref in zip(letters(), refs, strict=False)}
    step = Step(find_method(method).name, tuple(models), dict(parameters or {}), only=tuple(only))
    whose = vae if not vae or vae == MERGE_VAE else _letter(models, vae, "VAE")
    taken = {part: _letter(models, ref, part.upper()) for part, ref in (take or {}).items()}
    made = Recipe(models, (step,), name, dtype, whose or None, taken, compat, ema)
    return checked(with_loras(made, loras))


def bake_recipe(
    ref: str,
    loras: Sequence[tuple[str, float | Weight]],
    *,
    name: str = "",
    vae: str | None = None,
    take: Mapping[str, str] | None = None,
    dtype: str | None = None,
    ema: str = "drop",
) -> Recipe:
    """The recipe that bakes `loras` (REF and strength) into the one model `ref`; the rest is as in `simple_recipe`.

    Raises BadRecipeError.
    """
    models = {"A": ModelRef(ref)}
    whose = _letter(models, vae, "VAE") if vae else None
    taken = {part: _letter(models, other, part.upper()) for part, other in (take or {}).items()}
    return checked(with_loras(Recipe(models, (), name, dtype, whose, taken, None, ema), loras))


def with_loras(recipe: Recipe, loras: Sequence[tuple[str, float | Weight]]) -> Recipe:
    """The recipe with more LoRAs (REF and strength), after its own; their letters are L1, L2, …"""
    models, more = dict(recipe.models), list(recipe.loras)
    names = (f"L{number}" for number in count(1) if f"L{number}" not in recipe.models)
    known = {models[one.model].ref: one.model for one in recipe.loras if one.model in models}
    for ref, weight in loras:
        if ref not in known:
            known[ref] = next(name for name in names if all(name != step.name for step in recipe.steps))
            models[known[ref]] = ModelRef(ref)
        more.append(Lora(known[ref], weight))
    return replace(recipe, models=models, loras=tuple(more))


def _letter(models: dict[str, ModelRef], word: str, name: str) -> str:
    """The letter of a model that is named by its letter or by a REF, which is added under `name` if it is new."""
    if word in models:
        return word
    known = next((key for key, model in models.items() if model.ref == word), None)
    if known is None:
        models[name] = ModelRef(word)
    return known or name
