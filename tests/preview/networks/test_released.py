"""Every released network builds at its full size from the names and shapes of its file, on the meta device."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ldm_names import SmallUNet
from torch import nn

from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

Shapes = dict[str, tuple[int, ...]]
LAYOUTS = Path(__file__).parents[2] / "data" / "layouts"
#: Buffers that say nothing a network needs.
UNREAD = ("logit_scale", "position_ids")
UNET = "model.diffusion_model."
FILES: dict[str, tuple[str, str, Callable[[Shapes], nn.Module], int]] = {
    "sd1": ("sd15", UNET, UNet, 859_520_964),
    "sd2": ("sd21", UNET, UNet, 865_910_724),
    "sdxl": ("sdxl", UNET, UNet, 2_567_463_684),
    "flux-dev": ("flux-dev", "", Flux, 11_901_408_320),
    "flux-schnell": ("flux-schnell", "", Flux, 11_891_178_560),
    "vae of sd": ("vae-sd", "", Vae, 83_653_863),
    "vae of sdxl": ("sdxl", "first_stage_model.", Vae, 83_653_863),
    "vae of flux": ("vae-flux", "", Vae, 83_819_683),
    "clip-l": ("clip-l", "", text_encoder, 123_060_480),
    "clip-l of sd1": ("sd15", "cond_stage_model.", text_encoder, 123_060_480),
    "clip-l of sdxl": ("sdxl", "conditioner.embedders.0.", text_encoder, 123_060_480),
    "clip-g of sdxl": ("sdxl", "conditioner.embedders.1.", text_encoder, 694_659_840),
    "openclip-h of sd2": ("sd21", "cond_stage_model.", text_encoder, 354_032_640),
    "t5xxl": ("t5xxl", "", T5, 4_762_310_656),
}


def shapes_of(name: str, prefix: str) -> Shapes:
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {key.removeprefix(prefix): tuple(shape) for key, (_, *shape) in table.items() if key.startswith(prefix)}


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("file", "prefix", "build", "parameters"), FILES.values(), ids=FILES)
def test_a_released_file_is_read_to_its_last_tensor(
    file: str, prefix: str, build: Callable[[Shapes], nn.Module], parameters: int
) -> None:
    shapes = shapes_of(file, prefix)
    network = build(shapes)
    unread = set(shapes) - {name for name, _ in network.named_parameters()}
    assert all(name.endswith(UNREAD) for name in unread)
    assert all(parameter.is_meta for parameter in network.parameters())
    assert size(network) == parameters


@pytest.mark.parametrize(("inputs", "channels"), [(384, 96), (128, 32)], ids=["fill", "depth and canny"])
def test_flux_tools_take_more_channels(inputs: int, channels: int) -> None:
    network = Flux({**shapes_of("flux-dev", ""), "img_in.weight": (3072, inputs)})
    assert (network.in_channels, network.out_channels, network.guided) == (channels, 16, True)


XL = SmallUNet(channels=320, mult=(1, 2, 4), depths=(0, 2, 10), mid=10, linear=True, context=2048, vector=2816)
SD1 = SmallUNet(channels=320, mult=(1, 2, 4, 4), depths=(1, 1, 1, 0), context=768)
REFINER = replace(XL, channels=384, mult=(1, 2, 4, 4), depths=(0, 4, 4, 0), mid=4, context=1280, vector=2560)
#: U-Nets of the same house, with the number of parameters that their model cards and papers name, which is rounded.
OTHERS = {
    "ssd-1b": (replace(XL, depths=(0, 2, 4), ups=((4, 4, 10), (2, 1, 1), 0), mid=0), 1.3e9),
    "segmind-vega": (replace(XL, depths=(0, 1, 2), ups=(2, 1, 0), mid=0), 0.745e9),
    "koala-1b": (replace(XL, blocks=1, depths=(0, 2, 6), mid=6), 1.16e9),
    "koala-700m": (replace(XL, blocks=1, depths=(0, 2, 5), mid=None), 0.78e9),
    "bk-sdm-base": (replace(SD1, blocks=1), 0.58e9),
    "bk-sdm-small": (replace(SD1, blocks=1, mid=None), 0.49e9),
    "bk-sdm-tiny": (replace(SD1, blocks=1, mid=None, mult=(1, 2, 4), depths=(1, 1, 1)), 0.33e9),
}  # fmt: skip


@pytest.mark.parametrize(("config", "parameters"), OTHERS.values(), ids=OTHERS)
def test_relatives_have_the_size_that_their_makers_name(config: SmallUNet, parameters: float) -> None:
    network = UNet(config.shapes())
    assert {name for name, _ in network.named_parameters()} == set(config.shapes())
    assert size(network) == pytest.approx(parameters, rel=0.03)


def test_the_refiner_is_read_to_its_last_tensor() -> None:
    rows = lzma.decompress((LAYOUTS.parents[2] / "catalog" / "networks" / "sdxl-refiner.tsv.xz").read_bytes()).decode()
    names = [row.split("\t")[0] for row in rows.splitlines() if not row.startswith("#")]
    network = UNet(REFINER.shapes())
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert (network.context_width, network.vector_width) == (1280, 2560)


def test_prompts_are_as_wide_as_each_family_takes_them() -> None:
    wide = {file: text_encoder(shapes_of(file, prefix)) for file, prefix in (
        ("sd15", "cond_stage_model."), ("sd21", "cond_stage_model."), ("sdxl", "conditioner.embedders.1."))}  # fmt: skip
    assert all(isinstance(network, TextEncoder) for network in wide.values())
    assert {file: (network.width, network.pooled_width, network.depth) for file, network in wide.items()} == {
        "sd15": (768, 768, 12),
        "sd21": (1024, 1024, 24),
        "sdxl": (1280, 1280, 32),
    }


def test_a_meta_network_runs_and_gives_the_shape_of_a_picture() -> None:
    """Shapes flow through Flux at full size: what tiny models cannot show, such as 24 heads of 128."""
    network = Flux(shapes_of("flux-dev", ""))
    meta = {"device": "meta"}
    out = network(
        torch.empty(1, 16, 9, 16, **meta),
        torch.empty(1, **meta),
        torch.empty(1, 256, 4096, **meta),
        torch.empty(1, 768, **meta),
        torch.empty(1, **meta),
    )
    assert out.shape == (1, 16, 9, 16)
