"""Spots: where a tensor belongs, in the words that people use, and the numbers that are meant for it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.catalog.blocks import LABELS, TEXT_ENCODERS, block_of
from modelhub.merge.inputs.align import Place
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS
from modelhub.merge.recipes.recipe import Step
from modelhub.merge.registry import Method
from modelhub.merge.weighing.weights import Spot, Weight


def components_called(words: Iterable[str]) -> frozenset[str]:
    """The components that `words` name: `text_encoder` are all text encoders."""
    found: set[str] = set()
    for word in words:
        found |= set(TEXT_ENCODERS) if word == ALL_TEXT_ENCODERS else {word}
    return frozenset(found)


def component_of(place: Place) -> str:
    """The component of a place as people write it: unet, vae, te1, te2, t5; "" for others and beside all."""
    return place[0] if place[0] in LABELS else ""


def spot(architecture: str | None, component: str, name: str, full: str) -> Spot:
    """The spot of a tensor, in the blocks of `architecture`; `name` is below its component's prefix."""
    return Spot(component, block_of(architecture, component, name) if component else None, name, full)


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
