"""Spots of tensors: where a tensor belongs, in the words that people use for components and blocks."""

from __future__ import annotations

from modelhub.catalog.blocks import LABELS, block_of
from modelhub.catalog.canonical import Place
from modelhub.catalog.weighing.weight import Spot


def component_of(place: Place) -> str:
    """The component of a place as people write it: unet, vae, te1, te2, t5; "" for others and beside all."""
    return place[0] if place[0] in LABELS else ""


def spot(architecture: str | None, component: str, name: str, full: str) -> Spot:
    """The spot of a tensor, in the blocks of `architecture`; `name` is below its component's prefix."""
    return Spot(component, block_of(architecture, component, name) if component else None, name, full)
