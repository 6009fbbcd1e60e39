"""A model made ready to render: its parts found by identification, their networks loaded from any source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from modelhub.catalog.architectures import Architecture, Latent, Preview
from modelhub.catalog.companions import VAE
from modelhub.catalog.identity import Identity
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview.denoising.denoiser import Predictor
from modelhub.preview.denoising.guidance import Prediction, from_velocity
from modelhub.preview.denoising.predictors import FluxPredictor, UNetPredictor
from modelhub.preview.models.developing import Developer
from modelhub.preview.models.device import compute_dtype, keeps_stored, pick_device
from modelhub.preview.models.fitting import extra_channels
from modelhub.preview.models.keeper import Keeper
from modelhub.preview.models.looking import Look, encoder_of, look
from modelhub.preview.models.parameterization import flow_levels, levels_of, prediction_of
from modelhub.preview.models.parts import DENOISER, Place
from modelhub.preview.models.residence import Residence
from modelhub.preview.models.visiting import visiting
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.tree import Shape
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae
from modelhub.preview.pictures.approximation import Approximation
from modelhub.preview.request import SIZES
from modelhub.preview.sampling.levels import Levels

_Network = TypeVar("_Network", bound=Layer)


@dataclass(frozen=True)
class Model:
    """Networks, and the facts needed to sample with them.

    `encoders` are the text encoders by their architecture. `size` is the (width, height) in pixels of pictures that
    nobody gave a size. `beside` names what the denoiser sees beside latents: "", "mask", "picture" or "fill". `notes`
    are sentences about what got lost on the way.
    """

    identity: Identity
    facts: Architecture
    network: UNet | Flux
    vae: Vae
    encoders: Mapping[str, TextEncoder | T5]
    levels: Levels
    prediction: Prediction
    beside: str
    size: tuple[int, int]
    residence: Residence
    notes: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        source: TensorSource,
        *,
        parts: Mapping[str, TensorSource] | None = None,
        device: str = "auto",
        precision: str = "auto",
        prediction: str | None = None,
        zero_snr: bool | None = None,
        name: str = "This model",
        keeper: Keeper | None = None,
        job: Job = QUIET,
    ) -> Model:
        """Identify `source` and load its networks; `parts` replace its VAE ("vae") and text encoders ("clip-l", ...).

        Any layout and packing will do. `prediction` and `zero_snr` are for files that do not tell; `name` is the
        model's in errors. Of the networks that a `keeper` has from a model before, only what differs is read; that
        model is no use any more. Raises UnknownModelError or IncompatibleError for what cannot be rendered, UsageError
        for a missing device.
        """
        where = pick_device(device)
        found = look(source, parts or {}, name)
        loader = _Loader(where, precision, found.facts.id, job, keeper or Keeper())
        return loader.model(found, (prediction, zero_snr), name)

    @property
    def latent(self) -> Latent:
        """The latent space."""
        assert self.facts.latent is not None
        return self.facts.latent

    @property
    def preview(self) -> Preview:
        """Settings that give a fair first picture."""
        assert self.facts.preview is not None
        return self.facts.preview

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.residence.device

    def predictor(self, *, rounded: bool = False, guidance: float | None = None) -> Predictor:
        """The denoiser as one function; `guidance` is Flux's distilled CFG scale, None for the usual one."""
        if isinstance(self.network, Flux):
            usual = _FILL_GUIDANCE if self.beside == "fill" else self.preview.guidance
            return FluxPredictor(
                self.network, (usual if guidance is None else guidance) if self.network.guided else None
            )
        return UNetPredictor(self.network, self.levels, self.prediction, rounded)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [C, h, w] of the sampler to an image [3, h f, w f] of about -1..1, float32."""
        z = latents / self.latent.scale + self.latent.shift
        return Developer(self.vae, self.residence).decode(z[None])[0]

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """An image [3, H, W] of -1..1 to mean and standard deviation of its latents, each [C, h, w], as the VAE has it.

        `scaled` makes latents of the sampler of what is drawn from them.
        """
        mean, logvar = Developer(self.vae, self.residence).encode(image[None].to(self.device))
        return mean[0], torch.exp(0.5 * logvar[0])

    def scaled(self, z: Tensor) -> Tensor:
        """What the VAE encodes as the sampler has it: (z - shift) scale."""
        return (z - self.latent.shift) * self.latent.scale

    def approximation(self) -> Approximation:
        """The cheap stand-in for `decode` that live previews use."""
        return Approximation(self.decode, self.latent.channels, self.device)

    def free_encoders(self) -> None:
        """Take the text encoders off a device, where there is one: sampling needs the room."""
        for encoder in self.encoders.values():
            self.residence.release(encoder)


#: What Flux Fill was made to be guided by.
_FILL_GUIDANCE = 30.0


@dataclass(frozen=True)
class _Loader:
    """Loads the parts of one model."""

    device: torch.device
    precision: str
    family: str
    job: Job
    keeper: Keeper

    @property
    def residence(self) -> Residence:
        """Where networks come to the device; the same from one model to the next."""
        return self.keeper.residence(self.device)

    def model(self, found: Look, told: tuple[str | None, bool | None], name: str) -> Model:
        """The model that was looked at; `told` is what the user says of prediction and zero SNR."""
        source, identity, facts, places = found.source, found.identity, found.facts, found.places
        assert facts.latent is not None and facts.preview is not None, f"{facts.id} cannot be sampled from"
        prediction: Prediction = from_velocity
        if not found.is_flow:
            prediction = prediction_of(source, identity, places[DENOISER].prefix, facts.preview.prediction, told[0])
        self.keeper.only(places)
        encoders = {part: self._encoder(part, at) for part, at in places.items() if part not in (DENOISER, VAE)}
        build: Callable[[Mapping[str, Shape]], UNet | Flux] = Flux if found.is_flow else UNet
        network = self._load(build, places[DENOISER], DENOISER, self.family)
        vae = self._load(Vae, places[VAE], VAE, VAE)
        return Model(
            identity=identity,
            facts=facts,
            network=network,
            vae=vae,
            encoders=encoders,
            levels=flow_levels(guided=network.guided)
            if isinstance(network, Flux)
            else levels_of(source, identity, told[1]),
            prediction=prediction,
            beside=extra_channels(facts, network, name),
            size=usual_size(source, facts.preview.size),
            residence=self.residence,
            notes=found.notes,
        )

    def _encoder(self, part: str, at: Place) -> TextEncoder | T5:
        return visiting(self._load(encoder_of(part), at, part, part), self.residence)

    def _load(self, build: Callable[[Mapping[str, Shape]], _Network], at: Place, part: str, kind: str) -> _Network:
        dtype = compute_dtype(self.device, kind, self.precision)
        return self.keeper.networks.load(
            part,
            build,
            at.source,
            at.prefix,
            dtype=dtype,
            keep=keeps_stored(self.device, at.size),
            begin=self.residence.release,
            job=self.job,
        )


def usual_size(source: TensorSource, default: int) -> tuple[int, int]:
    """The resolution that the metadata names (modelspec.resolution), if it can be rendered, else the architecture's."""
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", source.header.metadata.get("modelspec.resolution", ""), re.ASCII)
    if match and int(match[1]) in SIZES and int(match[2]) in SIZES:
        return int(match[1]), int(match[2])
    return default, default
