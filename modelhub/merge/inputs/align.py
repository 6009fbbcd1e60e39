"""Align models with other prefixes, names and packings, and refuse those that cannot be merged: from headers alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from modelhub.catalog.canonical import Place
from modelhub.catalog.identity import Component, Identity
from modelhub.errors import IncompatibleError, ModelError, UnknownModelError
from modelhub.merge.inputs.layouts import seen_as
from modelhub.merge.inputs.model import Model, Seen
from modelhub.text import plural

__all__ = ["Model", "Place", "aligned", "check_together"]

#: Kinds whose tensors are weights of a network, with those of unknown kind.
_MERGEABLE = ("checkpoint", "diffusion-model", "vae", "text-encoder", "controlnet", "upscaler", "motion-module")
#: Kinds that are merged with each other.
_WITH_DENOISER = ("checkpoint", "diffusion-model")
_HINTS = {
    "lora": "It changes a model and is none: name a checkpoint here, and the LoRA after it in `modelhub lora bake`, "
    "or with `--lora REF:0.8`.",
    "embedding": "It is a word for a text encoder: programs load it beside any model.",
    "hypernetwork": "Programs load it beside a model.",
}
#: Of the denoiser's tensors, the share that may be in one variant only, beside those outside of numbered blocks.
_FEW = 0.02
_IN_BLOCK = re.compile(r"\.\d+\.")


def aligned(models: Mapping[str, Model], first: str) -> dict[str, Model]:
    """The models, each seen in the layout of the model `first`, which is the layout of the result.

    Those that differ in names alone stay as they are: places see to that. Raises IncompatibleError for tensors that
    do not fit together, and what `read` raises.
    """
    return {key: model if key == first else _like(model, models[first]) for key, model in models.items()}


def _like(model: Model, first: Model) -> Model:
    try:
        found = seen_as(model.reading.source, model.layout, first.layout, first.source.header.tensors)
    except ModelError as error:
        raise type(error)(f"{model}: {error.message}", error.hint) from None
    if found is None:
        return model
    made = replace(model, seen=Seen(*found))
    made.__dict__.update(reading=model.reading, layout=model.layout)
    return made


def check_together(models: Sequence[Model]) -> None:
    """Refuse models that cannot be merged; the first is the one whose layout the result has.

    Raises IncompatibleError for two architectures, for variants of another build, for weights that cannot be unpacked
    and for a kind that is not merged this way; UnknownModelError for layouts that no rule knows, unless they are all
    the same.
    """
    for model in models:
        _check_kind(model)
    for other in models[1:]:
        _check_pair(models[0], other)


def _check_kind(model: Model) -> None:
    kind = model.identity.kind
    if kind not in (*_MERGEABLE, "unknown") and not _only_components(model):
        raise IncompatibleError(
            f"{model} is of kind {kind}, which is not merged like this.",
            _HINTS.get(kind, "Name checkpoints or diffusion models."),
        )


def _only_components(model: Model) -> bool:
    """Whether a file is made of VAEs and text encoders, as bundles are."""
    components = model.identity.components
    return bool(components) and all(part.role in ("vae", "text_encoder") for part in components)


def _check_pair(first: Model, other: Model) -> None:
    one, two = first.identity, other.identity
    if one.fingerprint == two.fingerprint or (one.architecture is two.architecture is None and _same(first, other)):
        return
    if _only_components(first) or _only_components(other):
        _check_components(first, other)
        return
    for model in (first, other):
        if model.identity.architecture is None:
            raise UnknownModelError(
                f"{model} is of no known architecture, and is laid out unlike the others.",
                "See why with `modelhub identify`.",
            )
    if one.architecture != two.architecture:
        raise _two_architectures(first, other)
    if one.kind != two.kind and not {one.kind, two.kind} <= {*_WITH_DENOISER}:
        raise IncompatibleError(f"{first} is a {one.kind} and {other} a {two.kind}.", "Merge models of one kind.")
    if one.variant != two.variant:
        _check_variants(first, other)


def _same(first: Model, other: Model) -> bool:
    """Whether two models of no known architecture have the same tensors, but for what all names begin with."""
    shapes = [
        {place: model.source.info(name).shape for place, name in model.places.items()} for model in (first, other)
    ]
    return first.identity.kind == other.identity.kind and shapes[0] == shapes[1]


def _two_architectures(first: Model, other: Model) -> IncompatibleError:
    one, two = first.identity.architecture, other.identity.architecture
    hint = f"Choose models of one architecture: `modelhub ls arch:{one}`."
    if {one, two} == {"sdxl", "sdxl-refiner"}:
        hint = "The refiner of SDXL is another network than its base: it can only be merged with refiners."
    return IncompatibleError(f"{first} is {one} and {other} is {two}; different architectures cannot be merged.", hint)


def _check_components(first: Model, other: Model) -> None:
    """Files of components are merged with whatever has the same ones."""
    shared = [(mine, other.sections[label]) for label, mine in first.sections.items() if label in other.sections]
    pairs = [(mine.owned.component, its.owned.component) for mine, its in shared]
    if not any(_alike(mine, its) for mine, its in pairs):
        raise IncompatibleError(
            f"{first} has {_parts(first.identity)} and {other} {_parts(other.identity)}: no component is in both.",
            "Name files that have the same text encoder or VAE.",
        )


def _alike(one: Component, two: Component) -> bool:
    return None in (one.architecture, two.architecture) or one.architecture == two.architecture


def _parts(identity: Identity) -> str:
    """The components of a model in words."""
    parts = [part.architecture or part.role for part in identity.components if part.role != "ema"]
    return " and ".join(parts) or "no known component"


def _check_variants(first: Model, other: Model) -> None:
    """Variants of one build differ in channels, or in a few tensors; others in what stands at which place."""
    seen = _like(other, first)
    for one, two in ((first, seen), (seen, first)):
        places = [*_denoiser(one)]
        lacking = sum(place not in two.places and _IN_BLOCK.search(place[1]) is not None for place in places)
        if lacking > _FEW * len(places):
            raise IncompatibleError(
                f"{first} is {_variant(first)} and {other} is {_variant(other)}: of {plural(len(places), 'tensor')} in "
                f"the denoiser of {one.key}, {two.key} lacks {lacking} in its blocks: they are built in other ways.",
                "Merge models of one variant; `modelhub identify` shows it.",
            )


def _denoiser(model: Model) -> Iterator[Place]:
    return (place for place in model.places if model.role(place) == "denoiser")


def _variant(model: Model) -> str:
    identity = model.identity
    return f"{identity.architecture} {identity.variant}" if identity.variant else f"the full {identity.architecture}"
