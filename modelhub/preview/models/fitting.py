"""Whether the parts of a model fit together: channels of latents, widths of texts and of vectors."""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.catalog.architectures import Architecture
from modelhub.errors import IncompatibleError
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae
from modelhub.text import one_line

_Encoders = Mapping[str, TextEncoder | T5]
_HINT = "Its parts must belong to one architecture; `modelhub identify` shows each."
#: What a denoiser may see beside C channels of latents, by how many channels that is, in C and in ones: a mask and the
#: latents of the masked picture, the latents of a picture, and with Flux Fill a mask of 8 x 8 pixels in 64 channels.
_BESIDE = {(0, 0): "", (1, 1): "mask", (1, 0): "picture", (1, 64): "fill"}
#: Numbers that SDXL is told of the size, and its refiner of the size and the beauty, each in 256 sinusoids.
_TOLD = {"sdxl": 6 * 256, "sdxl-refiner": 5 * 256}


def extra_channels(facts: Architecture, network: UNet | Flux, name: str) -> str:
    """What the denoiser sees beside latents: "", "mask", "picture" or "fill". Raises IncompatibleError for others."""
    assert facts.latent is not None
    channels = facts.latent.channels
    for (times, ones), found in _BESIDE.items():
        if network.in_channels == channels * (1 + times) + ones:
            return found
    raise IncompatibleError(
        f"{one_line(name)} cannot be rendered: its denoiser takes {network.in_channels} channels, not {channels}.",
        _HINT,
    )


def check_fit(
    facts: Architecture, network: UNet | Flux, vae: Vae, encoders: Mapping[str, TextEncoder | T5], name: str
) -> None:
    """Raise IncompatibleError if denoiser, VAE and text encoders are not made for one another."""
    assert facts.latent is not None
    _same(name, "VAE decodes", vae.latent_channels, facts.latent.channels, "channels")
    _same(name, "denoiser predicts", network.out_channels, facts.latent.channels, "channels")
    if facts.latent.factor % vae.factor:
        raise IncompatibleError(
            f"{one_line(name)} cannot be rendered: its VAE enlarges {vae.factor} times, not {facts.latent.factor}.",
            "Choose a VAE of the same architecture.",
        )
    if network.context_width:
        _same(name, "denoiser takes", network.context_width, _context(encoders), "numbers for each word")
    if network.vector_width:
        vector = _vector(encoders) + _TOLD.get(facts.id, 0)
        _same(name, "denoiser takes", network.vector_width, vector, "numbers for a whole text")


def _context(encoders: _Encoders) -> int:
    """The width of what the network reads word by word: T5's alone where there is T5, else all CLIPs side by side."""
    widths = {part: one.width for part, one in encoders.items()}
    return widths["t5xxl"] if "t5xxl" in widths else sum(widths.values())


def _vector(encoders: _Encoders) -> int:
    """The width of the vector of a whole text: Flux has CLIP-L's without projection, SDXL that of CLIP-G."""
    clips = [one for one in encoders.values() if isinstance(one, TextEncoder)]
    if not clips:
        return 0
    return clips[-1].width if "t5xxl" in encoders else clips[-1].pooled_width


def _same(name: str, what: str, has: int, wanted: int, of: str) -> None:
    if has != wanted:
        raise IncompatibleError(
            f"{one_line(name)} cannot be rendered: its {what} {has} {of}, and what goes with it {wanted}.", _HINT
        )
