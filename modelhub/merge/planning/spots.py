"""Spots: where a tensor belongs, in the words that people use, and the numbers that are meant for it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.catalog.blocks import TEXT_ENCODERS
from modelhub.catalog.weighing.weights import Spot, Weight
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS
from modelhub.merge.recipes.recipe import Step
from modelhub.merge.registry import Method


def components_called(words: Iterable[str]) -> frozenset[str]:
    """The components that `words` name: `text_encoder` are all text encoders."""
    found: set[str] = set()
    for word in words:
        found |= set(TEXT_ENCODERS) if word == ALL_TEXT_ENCODERS else {word}
    return frozenset(found)


def resolved(method: Method, step: Step, where: Spot) -> dict[str, Any]:
    """The parameters of a step as plain values, for one tensor."""
    found: dict[str, Any] = {}
    for parameter in method.parameters:
        value = step.parameters.get(parameter.name, parameter.default)
        if isinstance(value, Weight):
            default = parameter.default
            value = value.at(where, float(default) if isinstance(default, int | float) else 0.0)
        found[parameter.name] = value
    return found


def numbers(method: Method, values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the resolved parameters that may differ from tensor to tensor."""
    return {one.name: float(values[one.name]) for one in method.parameters if one.kind == "number"}
