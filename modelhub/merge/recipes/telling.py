"""Recipes told to a person: a line for each step, LoRA and model, and for what becomes of the components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.formats.naming import last_part
from modelhub.merge.recipes.asking import shown_value
from modelhub.merge.recipes.parts import Lora, Recipe, Step
from modelhub.text import one_line

_NO_NAMES: Mapping[str, str] = {}


def step_line(step: Step, names: Mapping[str, str] = _NO_NAMES) -> str:
    """`weighted-sum A B  alpha 0.3`; an input that `names` has is called by that name."""
    said = ", ".join(f"{name} {shown_value(value)}" for name, value in step.parameters.items())
    only = f"  only {', '.join(step.only)}" if step.only else ""
    inputs = " ".join(names.get(name, name) for name in step.inputs)
    return one_line(f"{step.method} {inputs}  {said}".rstrip() + only)


def lora_line(lora: Lora, names: Mapping[str, str] = _NO_NAMES) -> str:
    """`L1  0.8, te=0.5`; a LoRA that `names` has is called by that name."""
    return one_line(f"{names.get(lora.model, lora.model)}  {shown_value(lora.weight)}")


def made_lines(recipe: Recipe, names: Mapping[str, str] = _NO_NAMES) -> Iterator[str]:
    """How the result is made: `C = weighted-sum A B  alpha 0.3` for each step, `LoRA L1  0.8` for what is baked in."""
    if recipe.base is not None:
        yield one_line(f"result = {names.get(recipe.base, recipe.base)}")
    yield from (one_line(f"{step.name or 'result'} = {step_line(step, names)}") for step in recipe.steps)
    yield from (f"LoRA {lora_line(lora, names)}" for lora in recipe.loras)


def model_names(recipe: Recipe) -> dict[str, str]:
    """What the models are called: the last parts of their paths."""
    return {key: one_line(last_part(model.ref)) for key, model in recipe.models.items()}


def output_lines(recipe: Recipe, names: Mapping[str, str] = _NO_NAMES) -> Iterator[str]:
    """What the recipe says beside its steps: where components come from, and how the result is stored."""
    for part, key in {"vae": recipe.vae, **recipe.take}.items():
        if key:
            yield one_line(f"{part} of {names.get(key, key)}" if key in recipe.models else f"{part} merged, too")
    yield from ([f"stored as {recipe.dtype}"] if recipe.dtype else [])
    yield from ([f"computed as {recipe.compat} does"] if recipe.compat else [])
    yield from ["A's EMA weights are kept"] if recipe.ema == "keep" else []


def recipe_lines(recipe: Recipe) -> list[str]:
    """The steps and LoRAs with the models by name, then all else that the recipe says, and its notes."""
    names = {key: _stem(name) for key, name in model_names(recipe).items()}
    rest = ", ".join(output_lines(recipe, names))
    return [*made_lines(recipe, names), *([rest] if rest else []), *map(one_line, recipe.notes)]


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] or name
