"""What a person says of a merge, in words: values of parameters, block weights, components, as a recipe of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelhub.errors import UsageError
from modelhub.merge.recipes.parts import letters
from modelhub.merge.recipes.recipe import MERGE_VAE, ModelRef, Recipe, Step, checked
from modelhub.merge.registry import Method, Parameter, Value, find_method
from modelhub.merge.weighing.weights import Weight, read_weight, weight_text

Parameters = Mapping[str, "Value | Weight"]


def read_value(parameter: Parameter, text: str) -> Value | Weight:
    """A text as a value of the parameter. Raises UsageError with what it may be, and what `read_weight` raises."""
    if parameter.kind == "number":
        return plain(read_weight(text, parameter.name))
    if parameter.kind == "flag":
        return text.strip().lower() in ("on", "yes", "true", "1")
    if parameter.kind == "choice":
        if text.strip().lower() not in parameter.choices:
            raise UsageError(f"{parameter.name} cannot be '{text}'.", f"Choose one of: {', '.join(parameter.choices)}.")
        return text.strip().lower()
    try:
        return int(text) if parameter.kind == "whole" else tuple(map(float, text.replace(",", " ").split()))
    except ValueError:
        what = "a whole number" if parameter.kind == "whole" else "numbers with commas between them"
        hint = f"{parameter.name} is: {parameter.help} (default {shown_value(parameter.default)})."
        raise UsageError(f"{parameter.name} must be {what}, not '{text}'.", hint) from None


def plain(weight: Weight) -> float | Weight:
    """One number for all as that number, any other weight as it is."""
    return weight.base if weight.base is not None and weight == Weight(weight.base) else weight


def shown_value(value: Value | Weight) -> str:
    """A value of a parameter as a person would write it."""
    if isinstance(value, Weight):
        return weight_text(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(f"{number:g}" for number in value) or "1 for each"
    return value if isinstance(value, str) else f"{value:g}"


def block_parameter(method: Method) -> Parameter | None:
    """The number that block weights are for where it is not said: alpha, or else the first."""
    numbers = [p for p in method.parameters if p.kind == "number"]
    return next((p for p in numbers if p.name == "alpha"), numbers[0] if numbers else None)


def with_blocks(method: Method, parameters: Parameters, blocks: str | Weight) -> Parameters:
    """`parameters` with block weights for the `block_parameter` of the method; what was said of it is their base.

    Raises UsageError when there is no such number, or two bases are said, and what `read_weight` raises.
    """
    first = block_parameter(method)
    if first is None:
        raise UsageError(f"{method.name} has no number that blocks could differ in.", "Leave the block weights out.")
    weight = read_weight(blocks, "The block weights") if isinstance(blocks, str) else blocks
    base = parameters.get(first.name)
    if base is None:
        return {**parameters, first.name: plain(weight)}
    if not isinstance(base, int | float) or weight.base is not None:
        raise UsageError(
            f"{first.name} and the block weights both say how much.",
            f"Let {first.name} be one number, for what the block weights do not name.",
        )
    return {**parameters, first.name: replace(weight, base=float(base))}


def asked_recipe(
    method: str,
    refs: Sequence[str],
    *,
    name: str = "",
    parameters: Parameters | None = None,
    only: Sequence[str] = (),
    vae: str | None = None,
    take: Mapping[str, str] | None = None,
    dtype: str | None = None,
    ema: str = "drop",
    compat: str | None = None,
) -> Recipe:
    """The recipe of one step over `refs`, which become A, B, C.

    `vae` is one of these letters, a REF, or "merge"; `take` maps components to letters or REFs. Raises BadRecipeError,
    and NotFoundError for a method that does not exist.
    """
    models = {letter: ModelRef(ref) for letter, ref in zip(letters(), refs, strict=False)}
    step = Step(find_method(method).name, tuple(models), dict(parameters or {}), only=tuple(only))
    whose = None if vae is None or vae == MERGE_VAE else _letter(models, vae, "VAE")
    taken = {part: _letter(models, ref, part.upper()) for part, ref in (take or {}).items()}
    return checked(Recipe(models, (step,), name, dtype, whose or vae, taken, compat, ema))


def _letter(models: dict[str, ModelRef], word: str, name: str) -> str:
    """The letter of a model that is named by its letter or by a REF, which is added under `name` if it is new."""
    if word in models:
        return word
    known = next((key for key, model in models.items() if model.ref == word), None)
    if known is None:
        models[name] = ModelRef(word)
    return known or name
