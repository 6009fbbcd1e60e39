"""Pairing: which layers of a model to compare with which of another, from their headers, and what no LoRA can hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from modelhub.catalog.adapter_names import place
from modelhub.catalog.blocks import TEXT_ENCODERS
from modelhub.catalog.plain import Reading
from modelhub.errors import IncompatibleError, UnknownModelError
from modelhub.lora.layers import Layer, Layers
from modelhub.lora.names import Dialect, named_layers, prefix
from modelhub.text import brief, few, plural

_MODELS = ("checkpoint", "diffusion-model", "text-encoder")
_WORDS = {"unet": "denoiser", "te1": "text encoder", "te2": "second text encoder", "t5": "T5"}


class Pair(NamedTuple):
    """A layer under the name of its module, in the tuned model and in the base."""

    module: str
    tuned: Layer
    base: Layer


@dataclass(frozen=True)
class Pairing:
    """The layers to compare: `matrices` are what a LoRA can hold, `others` norms, biases and embeddings besides.

    `notes` say what of the tuned model has no partner.
    """

    matrices: tuple[Pair, ...]
    others: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
    components: tuple[str, ...] = field(default=())


def pair(tuned: Reading, base: Reading, names: tuple[str, str], dialect: Dialect, only: Collection[str]) -> Pairing:
    """Pair the layers of two models that messages call `names`, of the components `only` (none: all).

    Raises IncompatibleError for models of two architectures or sizes and for files that are no models,
    UnknownModelError where an architecture is not known.
    """
    for reading, name in zip((tuned, base), names, strict=True):
        _check_model(reading, name)
    if tuned.identity.architecture != base.identity.architecture:
        kinds = f"{names[0]} is {tuned.identity.architecture}, {names[1]} is {base.identity.architecture}"
        raise IncompatibleError(f"{kinds}: there is no difference of these.", "Name the model that it was made from.")
    ours, theirs = Layers(tuned.source.header, tuned.identity), Layers(base.source.header, base.identity)
    labels = _labels(ours, theirs, names, only)
    return _Pairs(ours, theirs, names, labels).all(dialect)


def _check_model(reading: Reading, name: str) -> None:
    what = reading.identity
    if what.adapter or what.kind not in _MODELS:
        raise IncompatibleError(f"{name} is no model, but of the kind {what.kind}.", "Name two checkpoints.")
    if what.architecture is None:
        raise UnknownModelError(f"{name} is of no known architecture.", "`modelhub identify` tells what is known.")


def _labels(ours: Layers, theirs: Layers, names: tuple[str, str], only: Collection[str]) -> list[str]:
    """The components that both have and that are wanted."""
    wanted = {label for word in only for label in _meant(word)}
    both = [label for label in ours.sections if label in theirs.sections]
    found = [label for label in both if not only or label in wanted]
    absent = [word for word in only if not {*_meant(word)} & {*both}]
    if absent:
        lacking, both_have = ", ".join(absent), ", ".join(both) or "nothing"
        raise IncompatibleError(f"{names[0]} and {names[1]} do not both have {lacking}.", f"Both have: {both_have}.")
    if not found:
        raise IncompatibleError(f"{names[0]} and {names[1]} have no component in common.", "Name two checkpoints.")
    return found


def _meant(word: str) -> tuple[str, ...]:
    return TEXT_ENCODERS if word == "te" else (word,)


@dataclass
class _Pairs:
    ours: Layers
    theirs: Layers
    names: tuple[str, str]
    labels: list[str]
    absent: list[str] = field(default_factory=list)
    wider: list[str] = field(default_factory=list)

    def all(self, dialect: Dialect) -> Pairing:
        matrices = tuple(self._matrices(dialect))
        if not matrices:
            raise IncompatibleError(f"{self.names[0]} and {self.names[1]} have no layer in common.", "Name two models.")
        others = tuple(self._others(dialect, {one.tensor for pair in matrices for one in pair.tuned.stretches}))
        return Pairing(matrices, others, tuple(self._notes()), tuple(self.labels))

    def _matrices(self, dialect: Dialect) -> Iterator[Pair]:
        for module, layer in named_layers(self.ours, dialect):
            if layer.label not in self.labels:
                continue
            other = self._partner(module, layer.label)
            if other is None:
                self.absent.append(module)
            elif _matrix(layer) == _matrix(other):
                yield Pair(module, layer, other)
            elif place(module).input:
                self.wider.append(module)
            else:
                raise self._sizes(module, layer, other)

    def _partner(self, module: str, label: str) -> Layer | None:
        """The layer of the base that the module means, in the component that it is of here."""
        return next((one for one in self.theirs.candidates(place(module)) if one.label == label), None)

    def _others(self, dialect: Dialect, covered: Collection[str]) -> Iterator[Pair]:
        """Layers whose weights no matrix covers, under their native names."""
        for label, flat in self.ours.every():
            if label not in self.labels:
                continue
            layer, other = self.ours.native(label, flat), self.theirs.native(label, flat)
            if layer is None or layer.tensor in covered:
                continue
            start = prefix(dialect, self.ours.identity.architecture, label)
            if other is not None and _matrix(layer) == _matrix(other):
                yield Pair(start + flat, layer, other)

    def _notes(self) -> Iterator[str]:
        tuned, base = self.names
        for label in self.ours.sections:
            if label not in self.theirs.sections:
                yield f"{base} has no {_WORDS[label]}: that of {tuned} is left out."
        if self.absent:
            yield f"{base} lacks {plural(len(self.absent), 'layer')} of {tuned} ({few(self.absent)}): left out."
        if self.wider:
            yield f"{tuned} and {base} take other inputs: {few(self.wider)} is left out."

    def _sizes(self, module: str, layer: Layer, other: Layer) -> IncompatibleError:
        sizes = f"{list(layer.shape)} in {self.names[0]} and {list(other.shape)} in {self.names[1]}"
        return IncompatibleError(
            f"{brief(module)} is {sizes}: there is no difference of these.", "Name the model that it was made from."
        )


def _matrix(layer: Layer) -> tuple[int, int]:
    return layer.shape[0] if layer.shape else 0, prod(layer.shape[1:])
