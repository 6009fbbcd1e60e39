"""What a person says of a method's parameters, in words: their values, and block weights; and the same said back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelhub.catalog.weighing.weight import short
from modelhub.catalog.weighing.weights import Weight, read_weight, weight_text
from modelhub.errors import UsageError
from modelhub.merge.recipes.values import plain
from modelhub.merge.registry import Method, Parameter, Value

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


def shown_value(value: Value | Weight) -> str:
    """A value of a parameter as a person would write it; `read_value` of it gives the same."""
    if isinstance(value, Weight):
        return weight_text(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(short, value)) or "1 for each"
    return value if isinstance(value, str) else short(value) if isinstance(value, float) else str(value)


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


def without_blocks(method: Method, parameters: Parameters) -> tuple[Parameters, Weight | None]:
    """What `with_blocks` puts together: one number for the `block_parameter` if there is one, and the weights on it."""
    first = block_parameter(method)
    weight = parameters.get(first.name) if first else None
    if first is None or not isinstance(weight, Weight):
        return parameters, None
    others = {name: value for name, value in parameters.items() if name != first.name}
    return others | ({} if weight.base is None else {first.name: weight.base}), replace(weight, base=None)
