"""A model of a recipe: its tensors as they are to be merged, and the place of each, the same in every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from modelhub.catalog.canonical import Layout, Place, Section
from modelhub.catalog.folder.renames import files
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import Reading, read
from modelhub.errors import ModelError
from modelhub.formats.source import TensorSource
from modelhub.text import brief

_STANDARD_VAE = "first_stage_model."


class Seen(NamedTuple):
    """A model in the layout of another: the source, and the place of each of its tensors."""

    source: TensorSource
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Model:
    """One opened model of a recipe, under the letter it has there; `seen` where another's layout is put on it.

    Everything may raise what `read` raises, with the model named in the message.
    """

    key: str
    parent: Parent
    seen: Seen | None = None

    @cached_property
    def reading(self) -> Reading:
        """What is read of it: plain weights in one file."""
        try:
            return read(self.parent)
        except ModelError as error:
            raise type(error)(f"{self}: {error.message}", error.hint) from None

    def __str__(self) -> str:
        return f"{self.key} ({brief(self.parent.name)})"

    @property
    def source(self) -> TensorSource:
        """Its tensors, as they are to be merged. It is the opener that closes it."""
        return self.seen.source if self.seen else self.reading.source

    @property
    def identity(self) -> Identity:
        """What it is, by its header."""
        return self.reading.identity

    @cached_property
    def layout(self) -> Layout:
        """Which components it has and what it calls their tensors, by itself."""
        return Layout(self.reading.source.header, self.identity)

    @property
    def sections(self) -> Mapping[str, Section]:
        """Its components by their labels."""
        return self.layout.sections

    @cached_property
    def places(self) -> dict[Place, str]:
        """Place to tensor name. Where two tensors have one place, the name that is the place's own goes first."""
        found: dict[Place, str] = {}
        for name, place in self._placed.items():
            if place not in found or name.endswith(place[1]) > found[place].endswith(place[1]):
                found[place] = name
        return found

    @property
    def _placed(self) -> Mapping[str, Place]:
        return self.seen.places if self.seen else self.layout.places

    def place(self, name: str) -> Place:
        """The place of one of its tensors, in the component "" where it belongs to none, "ema" for averages."""
        return self._placed[name]

    def role(self, place: Place) -> str:
        """denoiser, vae, text_encoder or other, by the component of a place; "ema", and "" where there is none."""
        section = self.sections.get(place[0])
        return section.owned.role if section else ("ema" if place[0] == "ema" else "")

    def named(self, place: Place, other: Model) -> str:
        """What a tensor at `place`, which `other` has, is called in this model, if it has it or if it got it."""
        if place in self.places:
            return self.places[place]
        mine, its = self.sections.get(place[0]), other.sections.get(place[0])
        if mine is not None:
            is_of_both = its is not None and its.is_renamed and not mine.is_original
            return mine.prefix + (its.below(other.places[place]) if its and is_of_both else place[1])
        if its is not None and its.owned.role == "vae":
            return _vae_prefix(self.identity.architecture) + place[1]
        return other.places[place]

    def dtype(self, name: str) -> str:
        """What a tensor is to be stored as unless another dtype is asked for: its own, BF16 where it was packed."""
        return "BF16" if name in self.reading.unpacked else self.source.info(name).dtype

    def notes(self, *, first: bool) -> list[str]:
        """Sentences about how it is read; for the `first` model, whose layout the result has, also about that."""
        found = []
        if packing := ", ".join(self.reading.packing):
            found.append(f"{self} is packed ({packing}): its weights are merged as the floats that they stand for.")
            if first:
                found.append("The result holds them plainly, in BF16 unless another precision is asked for.")
        if first and self.reading.is_assembled:
            found.append(f"{self} is a diffusers folder: the result is one file in the layout of a checkpoint.")
        return found + (list(self.reading.notes) if first else [])


def _vae_prefix(architecture: str | None) -> str:
    """Where files of an architecture have their VAE."""
    rows = files()["pipeline"].get(architecture, {}).values()
    return next((row["prefix"] for row in rows if row["role"] == "vae"), _STANDARD_VAE)
