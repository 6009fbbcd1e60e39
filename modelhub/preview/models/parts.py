"""The parts of a model: where its denoiser, text encoders and VAE stand, in its own file or in others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from modelhub.catalog.companions import VAE, parts_of, place, title, where_to_get
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.identity import Component, Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.preview.models.support import named
from modelhub.text import one_line

DENOISER = "denoiser"


class Place(NamedTuple):
    """A source, and what the tensor names of a part begin with in it."""

    source: TensorSource
    prefix: str

    @property
    def size(self) -> int:
        """Bytes of its tensors in float32."""
        tensors = self.source.header.tensors
        return sum(4 * info.numel for name, info in tensors.items() if name.startswith(self.prefix))


def lacking(identity: Identity) -> tuple[str, ...]:
    """The parts that a model needs to be rendered and has not: text encoders by their architecture, and "vae"."""
    family = identity.architecture or ""
    return tuple(part for part in parts_of(family) if place(identity.components, family, part) is None)


def find_places(
    source: TensorSource, identity: Identity, given: Mapping[str, TensorSource], name: str
) -> dict[str, Place]:
    """Where each part is: in what is `given` for it, else in the model itself. `name` is the model's, for errors.

    Raises IncompatibleError for a part that is nowhere, and for a source that has none such.
    """
    family = identity.architecture or ""
    found = {DENOISER: Place(source, _denoiser(identity, name))}
    absent = []
    for part in parts_of(family):
        own = place(identity.components, family, part)
        if part in given:
            found[part] = _in_other(given[part], family, part, name)
        elif own is not None:
            found[part] = Place(source, own.prefix)
        else:
            absent.append(part)
    if absent:
        raise missing(family, absent, name)
    return found


def missing(family: str, absent: list[str], name: str) -> IncompatibleError:
    """The error for parts that a model of an architecture lacks, with the way to get them."""
    said = " and ".join(title(part) for part in absent)
    ways = [f"`modelhub get {where}`" for part in absent if (where := where_to_get(family, part))]
    hint = f"Get what is missing with {' and '.join(ways)}" if ways else "Choose a full checkpoint"
    options = " and ".join(dict.fromkeys(_OPTIONS.get(part, "--text-encoder") for part in absent))
    return IncompatibleError(
        f"{one_line(name)} cannot be rendered alone: it lacks {said}, and no other file was found for that.",
        f"{hint}, or name a file that has it with {options}.",
    )


_OPTIONS = {VAE: "--vae", "t5xxl": "--t5"}


def _denoiser(identity: Identity, name: str) -> str:
    part = identity.component(DENOISER)
    if part is None:
        raise IncompatibleError(f"{one_line(name)} has no denoiser.", "Choose a full checkpoint.")
    return part.prefix


def _in_other(source: TensorSource, family: str, part: str, name: str) -> Place:
    """A part in a file of its own, or in another model. Raises IncompatibleError."""
    view, identity, _ = in_original(source)
    own = place(identity.components, identity.architecture or family, part) or only(identity, part)
    if own is not None:
        return Place(view, own.prefix)
    if part == VAE and identity.kind == VAE:
        return Place(view, "")
    without = "" if identity.kind == "unknown" else " without one"
    raise IncompatibleError(
        f"What was given as {title(part)} for {one_line(name)} is {named(identity.kind)}{without}.",
        f"Give a file that has {title(part)}: `modelhub identify` says what is in one.",
    )


def only(identity: Identity, part: str) -> Component | None:
    """The one text encoder of a file, for a part that it can be: T5 for T5, CLIP of whatever width for any CLIP."""
    found = [one for one in identity.components if one.role == "text_encoder"]
    kinds = ("t5",) if part.startswith("t5") else ("clip-", "openclip-")
    fits = len(found) == 1 and part != VAE and (found[0].architecture or "").startswith(kinds)
    return found[0] if fits else None
