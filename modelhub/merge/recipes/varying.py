"""The same recipe with other numbers and models: what a grid over a merge asks for, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from modelhub.catalog.blocks import DENOISER, TEXT_ENCODERS, VAE, all_blocks
from modelhub.catalog.weighing.weight import Weight
from modelhub.catalog.weighing.weights import read_weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.asking import block_parameter, read_value
from modelhub.merge.recipes.checks import checked
from modelhub.merge.recipes.parts import ModelRef, Recipe, Step
from modelhub.merge.recipes.values import plain
from modelhub.merge.registry import Parameter, Value, find_method
from modelhub.text import brief, few


def parameter_names(recipe: Recipe) -> tuple[str, ...]:
    """The names by which `varied` knows parameters: `alpha` is that of the last step with it, `1.alpha` of step 1.

    Raises NotFoundError for a method that does not exist.
    """
    return tuple(dict.fromkeys(name for name, _, _ in reversed([*_parameters(recipe)])))


def block_names() -> tuple[str, ...]:
    """The names by which `varied` knows blocks: those of every architecture, and components."""
    return (*all_blocks(), DENOISER, "te", *TEXT_ENCODERS, VAE)


def varied(
    recipe: Recipe, parameters: Mapping[str, str], blocks: Mapping[str, str], models: Mapping[str, str] | None = None
) -> Recipe:
    """`recipe` with other values for `parameters` (by `parameter_names`), other weights for `blocks`, other `models`.

    A number for a parameter that has block weights is for what these do not name. `blocks` are those of the last step
    with a number that may differ from block to block. `models` are REFs by the letters of the recipe, which pins them
    no more. Raises UsageError and BadRecipeError for what cannot be set.
    """
    steps = [*recipe.steps]
    known = {name: (at, parameter) for name, at, parameter in _parameters(recipe)}
    for name, text in parameters.items():
        if name not in known:
            raise BadRecipeError(
                f"The recipe has no parameter '{brief(name)}'.", f"It has {', '.join(known) or 'none'}."
            )
        at, parameter = known[name]
        steps[at] = _set(steps[at], parameter, text)
    for name, text in blocks.items():
        at = _weighed(recipe)
        steps[at] = _set_block(steps[at], f"{name}={text}")
    return checked(replace(recipe, steps=tuple(steps), models={**recipe.models, **dict(_named(recipe, models or {}))}))


def _named(recipe: Recipe, models: Mapping[str, str]) -> Iterator[tuple[str, ModelRef]]:
    for letter, ref in models.items():
        if letter not in recipe.models:
            raise BadRecipeError(f"The recipe has no model '{brief(letter)}'.", f"It has {few(recipe.models)}.")
        yield letter, ModelRef(ref)


def _parameters(recipe: Recipe) -> Iterator[tuple[str, int, Parameter]]:
    """Every name of a parameter, the number of its step, and what it is; later ones of a name are meant."""
    for at, step in enumerate(recipe.steps):
        for parameter in find_method(step.method).parameters:
            yield parameter.name, at, parameter
            yield f"{at + 1}.{parameter.name}", at, parameter


def _weighed(recipe: Recipe) -> int:
    for at, step in reversed([*enumerate(recipe.steps)]):
        if block_parameter(find_method(step.method)) is not None:
            return at
    raise BadRecipeError("The recipe has no number that blocks could differ in.", "Take another axis than a block.")


def _set(step: Step, parameter: Parameter, text: str) -> Step:
    value = read_value(parameter, text)
    before = step.parameters.get(parameter.name)
    if isinstance(before, Weight) and isinstance(value, float):
        value = replace(before, base=value)
    return _with(step, parameter.name, value)


def _set_block(step: Step, said: str) -> Step:
    parameter = block_parameter(find_method(step.method))
    assert parameter is not None
    before, more = step.parameters.get(parameter.name, parameter.default), read_weight(said, parameter.name)
    base = before if isinstance(before, Weight) else Weight(before if isinstance(before, int | float) else None)
    weight = replace(base, blocks={**base.blocks, **more.blocks}, components={**base.components, **more.components})
    return _with(step, parameter.name, plain(weight))


def _with(step: Step, name: str, value: Value | Weight) -> Step:
    return replace(step, parameters={**step.parameters, name: value})
