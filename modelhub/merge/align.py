"""Align models whose tensors have other prefixes: the same place in the same component is the same tensor.

A checkpoint keeps its denoiser below `model.diffusion_model.`, a diffusion-model file may have no prefix at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.errors import IncompatibleError, UnknownModelError
from modelhub.formats.source import TensorSource

#: A tensor's place: the component ("denoiser", "text_encoder1"), and the name below its prefix.
Place = tuple[str, str]
_MERGEABLE = ("checkpoint", "diffusion-model", "vae", "text-encoder", "controlnet", "upscaler")


@dataclass(frozen=True)
class Model:
    """One opened model of a recipe, under the letter it has there."""

    key: str
    parent: Parent

    @property
    def source(self) -> TensorSource:
        """Its tensors."""
        return self.parent.source

    @cached_property
    def identity(self) -> Identity:
        """What it is, by its header."""
        return identify(self.source.header, name=self.parent.path.name)

    @cached_property
    def places(self) -> dict[Place, str]:
        """Place to tensor name."""
        return {self.place(name): name for name in self.source.header.tensors}

    def place(self, name: str) -> Place:
        """The place of one of its tensors; ("", name) for a tensor that belongs to no component."""
        for label, prefix in self._prefixes:
            if name.startswith(prefix):
                return label, name[len(prefix) :]
        return "", name

    @cached_property
    def _prefixes(self) -> list[tuple[str, str]]:
        counts: dict[str, int] = {}
        found = []
        for part in self.identity.components:
            counts[part.role] = counts.get(part.role, 0) + 1
            found.append((part.role + str(counts[part.role]), part.prefix))
        return sorted(found, key=lambda item: -len(item[1]))


def check_together(models: list[Model]) -> None:
    """Refuse models that cannot be merged, from their headers alone.

    Raises IncompatibleError for two architectures, packed weights, or a kind that is not merged this way,
    UnknownModelError for layouts that no rule knows, unless they are all the same.
    """
    for model in models:
        packed = [kind for kind in model.identity.facts.get("quantisation", {}) if kind != "fp8"]
        if packed:
            raise IncompatibleError(
                f"{model.key} ({model.parent.name}) is quantised ({', '.join(packed)}): its numbers are no weights "
                "without their scales.",
                "Merge files in F16, BF16, F32 or plain F8.",
            )
        if model.identity.kind not in (*_MERGEABLE, "unknown"):
            raise IncompatibleError(
                f"{model.key} ({model.parent.name}) is of kind {model.identity.kind}, which is not merged like this.",
                "Name checkpoints or diffusion models.",
            )
    first = models[0]
    for other in models[1:]:
        _check_pair(first, other)


def _check_pair(first: Model, other: Model) -> None:
    one, two = first.identity, other.identity
    if one.fingerprint == two.fingerprint:
        return
    if one.architecture is None or two.architecture is None:
        unknown = first if one.architecture is None else other
        raise UnknownModelError(
            f"{unknown.key} ({unknown.parent.name}) is of no known architecture, and is laid out unlike the others.",
            "See why with `modelhub identify`.",
        )
    if one.architecture != two.architecture:
        raise IncompatibleError(
            f"{first.key} ({first.parent.name}) is {one.architecture} and {other.key} ({other.parent.name}) is "
            f"{two.architecture}; different architectures cannot be merged.",
            "Choose models of one architecture: `modelhub ls arch:" + one.architecture + "`.",
        )
