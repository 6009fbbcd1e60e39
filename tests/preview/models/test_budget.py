"""What computing takes, counted on networks of full size without memory, and what of it fits which GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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

HALF = torch.float16
#: What a desktop and CUDA itself take of a GPU's memory.
TAKEN = 1 << 30


def released(name: str, build: Callable[..., Layer], dtype: torch.dtype = HALF, free: int = 4) -> Any:
    """A released network on the meta device."""
    shapes = {name: tuple(size or free for size in row.shape) for name, row in listed(name).items()}
    network = build(shapes).to(dtype).eval()
    network.computes = dtype
    return network


class Peak(TorchDispatchMode):
    """The most bytes of tensors that lived at one time, those apart that were there before."""

    def __init__(self, network: Layer) -> None:
        super().__init__()
        self._live = dict.fromkeys((weight.untyped_storage()._cdata for weight in network.parameters()), 0)
        self._now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and (key := tensor.untyped_storage()._cdata) not in self._live:
                self._live[key] = tensor.untyped_storage().nbytes()
                self._now += self._live[key]
                self.most = max(self.most, self._now)
                weakref.finalize(tensor.untyped_storage(), self._gone, key)
        return found

    def _gone(self, key: int) -> None:
        self._now -= self._live.pop(key, 0)


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=HALF, device="meta")


def assert_covers(estimate: int, network: Layer, *inputs: Tensor) -> None:
    with torch.inference_mode(), Peak(network) as peak:
        network(*inputs)
    assert peak.most <= estimate <= 2.5 * peak.most


@pytest.mark.parametrize(("name", "context", "vector"), [("sd1", 768, 0), ("sdxl", 2048, 2816)])
@pytest.mark.parametrize(("batch", "height", "width"), [(2, 64, 96), (1, 128, 128)])
def test_unets(name: str, context: int, vector: int, batch: int, height: int, width: int) -> None:
    network = released(name, UNet)
    inputs = [meta(batch, 4, height, width), meta(batch), meta(batch, 77, context)]
    inputs += [meta(batch, vector)] if vector else []
    assert_covers(denoising_bytes(network, batch, height, width), network, *inputs)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 96)])
def test_flux(height: int, width: int) -> None:
    network = released("flux1", Flux, free=64)
    inputs = meta(1, 16, height, width), meta(1), meta(1, 256, 4096), meta(1, 768), meta(1)
    assert_covers(denoising_bytes(network, 1, height, width, 256), network, *inputs)


@pytest.mark.parametrize(("name", "latents"), [("kl-f8-4ch", 4), ("ae-16ch", 16)])
def test_vaes(name: str, latents: int) -> None:
    network = released(name, Vae)
    assert_covers(vae_bytes(network, 1, 64, 96), network, meta(1, latents, 64, 96))


def room(gigabytes: int) -> int:
    """What is left of a GPU for weights and activations."""
    return (gigabytes << 30) - TAKEN - HEADROOM


def test_sdxl_runs_whole_in_8_gb() -> None:
    unet, vae = released("sdxl", UNet), released("kl-f8-4ch", Vae)
    assert whole(unet) + denoising_bytes(unet, 2, 128, 128) < room(8)
    assert whole(vae) + vae_bytes(vae, 1, 128, 128) < room(8)
    vae.computes = torch.float32  # its own VAE overflows float16
    assert whole(vae) + vae_bytes(vae, 1, 128, 128) < room(8)
    encoders = whole(released("clip-l", text_encoder)) + whole(released("clip-g", text_encoder))
    assert encoders < room(8)


@pytest.mark.parametrize(("stored", "moved"), [(torch.bfloat16, 0.65), (torch.float8_e4m3fn, 0.35)])
def test_flux_runs_streamed_in_12_gb(stored: torch.dtype, moved: float) -> None:
    network = released("flux1", Flux, stored, free=64)
    network.computes = torch.bfloat16
    free = room(12) - denoising_bytes(network, 1, 128, 128, 512)
    found = fit(network, free)
    assert found is not None
    assert found.size <= free < whole(network)
    assert 0 < found.moved < moved * whole(network)
    t5 = released("t5xxl", T5, torch.bfloat16)
    assert whole(t5) < room(12)


def test_even_4_gb_will_do() -> None:
    for network in (released("sdxl", UNet), released("flux1", Flux, torch.bfloat16, 64)):
        found = fit(network, room(4) - denoising_bytes(network, 1, 64, 64, 256))
        assert found is not None
        assert found.streamed
