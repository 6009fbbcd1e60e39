"""A model made ready to render: its parts found by identification, their networks loaded from any source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from modelhub.catalog.architectures import Latent, Preview, architecture
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview import support
from modelhub.preview.approximation import Approximation
from modelhub.preview.device import denoiser_dtype, pick_device
from modelhub.preview.guidance import Prediction
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.load import load
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae
from modelhub.preview.noise_levels import NoiseLevels, scaled_linear
from modelhub.preview.parameterization import prediction_of
from modelhub.preview.prompts import Conditioner
from modelhub.preview.request import SIZES
from modelhub.preview.tokenizers import ClipTokenizer, clip_tokenizer
from modelhub.text import one_line

#: SD2's last text layer was never trained on; files that went through diffusers have lost it and keep 23 of 24.
_SD2_LAYERS_LEFT = 23


@dataclass(frozen=True)
class Model:
    """Networks on their device, and the facts needed to sample with them.

    `size` is the (width, height) in pixels of pictures that nobody gave a size.
    """

    identity: Identity
    network: UNet
    vae: Vae
    conditioner: Conditioner
    levels: NoiseLevels
    prediction: Prediction
    latent: Latent
    preview: Preview
    size: tuple[int, int]
    device: torch.device

    @classmethod
    def load(
        cls,
        source: TensorSource,
        *,
        device: str = "auto",
        vae: TensorSource | None = None,
        name: str = "This model",
        job: Job = QUIET,
    ) -> Model:
        """Identify `source` and load its networks; `vae` replaces its VAE, and `name` is its name in errors.

        Raises UnknownModelError or IncompatibleError for what cannot be rendered, UsageError for a missing device.
        """
        where = pick_device(device)
        identity = identify(source.header)
        support.check(identity, name)
        facts = architecture(identity.architecture or "")
        assert facts.latent is not None and facts.preview is not None, f"{facts.id} cannot be sampled from"
        unet_prefix, text_prefix = (support.prefix(identity, role, name) for role in ("denoiser", "text_encoder"))
        vae_prefix = support.vae_prefix(vae, identity, name)
        encoder = load(text_encoder, source, text_prefix, device=where, job=job)
        network = load(UNet, source, unet_prefix, device=where, dtype=denoiser_dtype(where), job=job)
        decoder = load(_decoder, vae or source, vae_prefix, device=where, job=job)
        _check_fit(network, decoder, facts.latent, name)
        return cls(
            identity=identity,
            network=network,
            vae=decoder,
            conditioner=_conditioner(encoder, facts.id),
            levels=scaled_linear(),
            prediction=prediction_of(source, identity, unet_prefix, facts.preview.prediction),
            latent=facts.latent,
            preview=facts.preview,
            size=_size(source, facts.preview.size),
            device=where,
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [C, h, w] of the sampler to an image [3, h f, w f] of about -1..1, float32."""
        z = latents / self.latent.scale + self.latent.shift
        image: Tensor = self.vae.decode(z[None])[0].float()
        return image

    def approximation(self) -> Approximation:
        """The cheap stand-in for `decode` that live previews use."""
        return Approximation(self.decode, self.latent.channels, self.device)


def _conditioner(encoder: TextEncoder, family: str) -> Conditioner:
    """SD1 pads with the end token and takes the last layer, SD2 pads with 0 and takes the last but one."""
    if family != "sd2":
        return Conditioner(clip_tokenizer(), encoder, pad=ClipTokenizer.eos)
    return Conditioner(clip_tokenizer(), encoder, pad=0, least_skip=1 if encoder.depth == _SD2_LAYERS_LEFT else 2)


def _decoder(shapes: Mapping[str, tuple[int, ...]]) -> Vae:
    return Vae(shapes, encoder=False)


def _check_fit(network: UNet, vae: Vae, latent: Latent, name: str) -> None:
    for what, channels in (("denoiser takes", network.in_channels), ("VAE decodes", vae.latent_channels)):
        if channels != latent.channels:
            raise IncompatibleError(
                f"{one_line(name)} cannot be rendered: its {what} {channels} channels, not {latent.channels}.",
                "Denoiser and VAE must belong to one architecture; `modelhub identify` shows both.",
            )
    if latent.factor % vae.factor:
        raise IncompatibleError(
            f"{one_line(name)} cannot be rendered: its VAE enlarges {vae.factor} times, not {latent.factor} times.",
            "Choose a VAE of the same architecture.",
        )


def _size(source: TensorSource, default: int) -> tuple[int, int]:
    """The resolution that the metadata names (modelspec.resolution), if it can be rendered, else the architecture's."""
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", source.header.metadata.get("modelspec.resolution", ""), re.ASCII)
    if match and int(match[1]) in SIZES and int(match[2]) in SIZES:
        return int(match[1]), int(match[2])
    return default, default
