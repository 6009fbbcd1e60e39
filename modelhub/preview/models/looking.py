"""Looking: a model as its headers tell it, so that what cannot go together is said before gigabytes are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelhub.catalog.architectures import Architecture, architecture
from modelhub.catalog.companions import VAE, latents
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.identity import Identity
from modelhub.catalog.unpacking import GROWS
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.preview.models import support
from modelhub.preview.models.fitting import check_fit, extra_channels
from modelhub.preview.models.parts import DENOISER, Place, find_places
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.load import below
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.tree import Shape
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae
from modelhub.text import one_line

Shapes = Mapping[str, Shape]
Build = Callable[[Shapes], "UNet | Flux | Vae | TextEncoder | T5"]
_FLOW = "flow"


@dataclass(frozen=True)
class Look:
    """A model whose parts are there and fit: where they stand below the names of the original.

    `notes` are sentences about what gets lost on the way to these names.
    """

    source: TensorSource
    identity: Identity
    facts: Architecture
    places: Mapping[str, Place]
    notes: tuple[str, ...]

    @property
    def is_flow(self) -> bool:
        """Whether the denoiser is a Flux, not a U-Net."""
        assert self.facts.preview is not None, f"{self.facts.id} cannot be sampled from"
        return self.facts.preview.prediction == _FLOW


def look(source: TensorSource, parts: Mapping[str, TensorSource], name: str) -> Look:
    """Find the parts of a model, in `source` or as given, and build their networks without weights.

    Raises UnknownModelError or IncompatibleError for what cannot be rendered; `name` is the model's in errors.
    """
    view, identity, notes = in_original(source)
    support.check(identity, name)
    facts = architecture(identity.architecture or "")
    told = tuple(note for note in notes if note != GROWS)  # no file is written
    found = Look(view, identity, facts, find_places(view, identity, parts, name), told)
    _check_networks(found, name)
    return found


def encoder_of(part: str) -> Callable[[Shapes], TextEncoder | T5]:
    """What builds a text encoder."""
    return T5 if part.startswith("t5") else text_encoder


def _check_networks(found: Look, name: str) -> None:
    shapes = {
        part: {tensor: info.shape for tensor, info in below(at.source, at.prefix).items()}
        for part, at in found.places.items()
    }
    network = Flux(shapes[DENOISER]) if found.is_flow else UNet(shapes[DENOISER])
    encoders = {part: encoder_of(part)(shapes[part]) for part in shapes if part not in (DENOISER, VAE)}
    check_fit(found.facts, network, Vae(shapes[VAE]), encoders, name)
    extra_channels(found.facts, network, name)


def check_refiner(model: Look, refiner: Look, name: str) -> None:
    """Raise IncompatibleError if a refiner cannot go on with a model's latents: they are of another kind."""
    if model.facts.latent != refiner.facts.latent:
        kinds = [_kind_of_latents(one.facts) for one in (refiner, model)]
        raise IncompatibleError(
            f"{one_line(name)} cannot refine this model: its latents are those of {kinds[0]}, the model's {kinds[1]}.",
            "Name a refiner whose VAE is that of the model.",
        )


def _kind_of_latents(facts: Architecture) -> str:
    return next((one.title for one in latents() if facts.id in one.models), facts.id)
