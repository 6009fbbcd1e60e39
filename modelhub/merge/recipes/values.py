"""Values of a method's parameters, checked by what the registry says of each."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from modelhub.catalog.weighing.draft import is_computable
from modelhub.catalog.weighing.weight import Weight
from modelhub.catalog.weighing.weights import parse_weight
from modelhub.errors import BadRecipeError
from modelhub.merge.registry import Parameter, Value
from modelhub.text import brief_value, plural

#: Larger whole numbers do not survive every reader of TOML.
_LARGEST = 2**63 - 1


def checked_value(parameter: Parameter, value: Any, many: int, where: str) -> Value | Weight:
    """`value` as the method takes it; `many` is the number of its `*models`, `where` begins a complaint.

    Raises BadRecipeError. Any finite number will do for a `number`, whatever its slider shows.
    """
    if parameter.kind == "number":
        return checked_number(value, where)
    if parameter.kind == "whole":
        return _whole(parameter, value, where)
    if parameter.kind == "choice":
        return _choice(parameter, value, where)
    if parameter.kind == "flag":
        if not isinstance(value, bool):
            raise _wrong(where, "true or false", value, f"Write {parameter.name} = true.")
        return value
    return _list(value, many, where)


def checked_number(value: Any, where: str) -> float | Weight:
    """A number, or a weight that may differ from tensor to tensor. Raises BadRecipeError."""
    if is_number(value):
        return float(value)
    if isinstance(value, bool | int | float):
        raise _wrong(where, "a number", value, "Write it as 0.5.")
    return plain(value if isinstance(value, Weight) else parse_weight(value, where))


def plain(weight: Weight) -> float | Weight:
    """One number for all as that number, any other weight as it is."""
    return weight.base if weight.base is not None and weight == Weight(weight.base) else weight


def _whole(parameter: Parameter, value: Any, where: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(where, "a whole number", value, f"Write it as {parameter.default}.")
    if not parameter.low <= value <= _LARGEST:
        raise _wrong(where, f"{parameter.low:g} or more", value, f"{parameter.name} is: {parameter.help}.")
    return value


def _choice(parameter: Parameter, value: Any, where: str) -> str:
    if isinstance(value, str) and value in parameter.choices:
        return value
    near = get_close_matches(str(value)[:100].lower(), parameter.choices, 1)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(parameter.choices)}."
    raise _wrong(where, "one of " + ", ".join(parameter.choices), value, hint)


def _list(value: Any, many: int, where: str) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not all(map(is_number, value)):
        raise _wrong(where, "a list of numbers", value, "Write it as [0.5, 0.3].")
    if len(value) not in (0, many):
        raise BadRecipeError(
            f"{where} has {plural(len(value), 'number')} for {plural(many, 'model')}.", "Give one for each of them."
        )
    return tuple(map(float, value))


def is_number(value: Any) -> bool:
    """Whether it is a number that can be computed with."""
    return not isinstance(value, bool) and isinstance(value, int | float) and is_computable(value)


def _wrong(where: str, wanted: str, value: Any, hint: str) -> BadRecipeError:
    return BadRecipeError(f"{where} must be {wanted}, not {brief_value(value)}.", hint)
