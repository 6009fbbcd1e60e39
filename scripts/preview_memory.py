"""What previews take of a GPU's memory, by plan: weights and activations of each stage, and what is streamed where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from modelhub.catalog.networks import network as listed
from modelhub.preview.models.budget import denoising_bytes, vae_bytes
from modelhub.preview.models.fit import fit, whole
from modelhub.preview.models.residence import HEADROOM
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

#: What a desktop and CUDA itself take.
TAKEN = 1 << 30
GPUS = (4, 6, 8, 12, 16, 24)


class Stage(NamedTuple):
    """A network at work: what it is, and the bytes it takes besides its weights."""

    name: str
    network: Layer
    activations: int


def print_tables() -> None:
    """The stages of SD1, SDXL and Flux at their usual sizes, against GPUs of 4 to 24 GiB."""
    print(f"{'GiB':34} {'weights':>8} {'besides':>8}   " + " ".join(f"{size:>12}" for size in GPUS))
    for stage in _stages():
        size = whole(stage.network)
        cells = (_cell(stage, (gpu << 30) - TAKEN - HEADROOM) for gpu in GPUS)
        print(f"{stage.name:34} {size / 2**30:8.2f} {stage.activations / 2**30:8.2f}   " + " ".join(cells))
    print(f"A GPU has {TAKEN / 2**30:.0f} GiB less for desktop and CUDA, and {HEADROOM >> 20} MiB of headroom.")
    print("A number is the GiB of weights that are copied in each pass, because they do not fit; stages that are over")
    print("make room. A VAE that does not fit decodes in strips, with half a GiB besides its weights.")


def _cell(stage: Stage, room: int) -> str:
    if isinstance(stage.network, Vae) and whole(stage.network) + stage.activations > room:
        return f"{'strips':>12}"
    found = fit(stage.network, room - stage.activations)
    if found is None:
        return f"{'too large':>12}"
    return f"{found.moved / 2**30:12.2f}" if found.streamed else f"{'whole':>12}"


def _stages() -> list[Stage]:
    half, wide, fp8 = torch.float16, torch.bfloat16, torch.float8_e4m3fn
    sd1, sdxl = _made("sd1", UNet, half), _made("sdxl", UNet, half)
    flux, small = _made("flux1", Flux, wide, free=64), _made("flux1", Flux, wide, fp8, 64)
    vae, exact, flux_vae = (
        _made("kl-f8-4ch", Vae, half),
        _made("kl-f8-4ch", Vae, torch.float32),
        _made("ae-16ch", Vae, half),
    )
    return [
        Stage("clip-l, fp16", _made("clip-l", text_encoder, half), 0),
        Stage("clip-g, fp16", _made("clip-g", text_encoder, half), 0),
        Stage("t5xxl, bf16", _made("t5xxl", T5, wide), 0),
        Stage("t5xxl, fp8 stored", _made("t5xxl", T5, wide, fp8), 0),
        Stage("sd1 U-Net fp16, 512x512, two texts", sd1, denoising_bytes(sd1, 2, 64, 64)),
        Stage("sdxl U-Net fp16, 1024x1024, two", sdxl, denoising_bytes(sdxl, 2, 128, 128)),
        Stage("flux bf16, 1024x1024", flux, denoising_bytes(flux, 1, 128, 128, 512)),
        Stage("flux fp8 stored, 1024x1024", small, denoising_bytes(small, 1, 128, 128, 512)),
        Stage("VAE fp16, 512x512", vae, vae_bytes(vae, 1, 64, 64)),
        Stage("VAE fp16, 1024x1024", vae, vae_bytes(vae, 1, 128, 128)),
        Stage("VAE fp32 (sdxl), 1024x1024", exact, vae_bytes(exact, 1, 128, 128)),
        Stage("VAE fp16, 2048x2048", vae, vae_bytes(vae, 1, 256, 256)),
        Stage("flux VAE fp16, 1024x1024", flux_vae, vae_bytes(flux_vae, 1, 128, 128)),
    ]


def _made(
    name: str, build: Callable[..., Any], computes: torch.dtype, stored: torch.dtype | None = None, free: int = 4
) -> Any:
    """A released network without memory."""
    network = build({name: tuple(size or free for size in row.shape) for name, row in listed(name).items()})
    network.to(stored or computes)
    network.computes = computes
    return network
