"""Watching a network for the first layer whose numbers leave the range: found wherever it is, and no cost afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from demo_model import DEMO
from torch import Tensor, nn

from modelhub.formats.safetensors import SafetensorsFile
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.load import load
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae
from modelhub.preview.networks.watching import first_bad_layer

Parts = dict[str, tuple[Layer, Callable[[], object]]]
pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture(scope="module")
def parts() -> Iterator[Parts]:
    """The networks of the demo model, each with a call of it."""
    with SafetensorsFile(DEMO) as source:
        unet = load(UNet, source, "model.diffusion_model.")
        vae = load(Vae, source, "first_stage_model.")
        encoder = load(text_encoder, source, "cond_stage_model.transformer.")
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, unet.context_width)
    ids = torch.arange(77)[None] + 320
    yield {
        "unet": (unet, lambda: unet(x, torch.tensor([500.0]), context)),
        "vae": (vae, lambda: (vae.encode(torch.zeros(1, 3, 16, 16)), vae.decode(x[..., :2, :2]))),
        "text": (encoder, lambda: encoder.encode(encoder.embed(ids))),
    }


def layers(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if list(module.parameters(recurse=False))]


def poisoned(network: nn.Module, name: str, value: float) -> Callable[[], None]:
    """Put `value` into one weight of a layer; what comes back mends it."""
    module = network.get_submodule(name)
    leaf, weight = next(iter(module.named_parameters(recurse=False)))
    sick = weight.clone()
    sick.reshape(-1)[320 * sick.shape[-1] if "token_embedding" in name else 0] = value
    module.register_parameter(leaf, nn.Parameter(sick, requires_grad=False))
    return lambda: module.register_parameter(leaf, weight)


@pytest.mark.parametrize("part", ["unet", "vae", "text"])
def test_a_poisoned_weight_is_found_in_every_layer(parts: Parts, part: str) -> None:
    network, call = parts[part]
    assert first_bad_layer(network, call) is None
    for name in layers(network)[:: 1 if part == "text" else 9]:
        mend = poisoned(network, name, math.nan)
        found = first_bad_layer(network, call, "prefix.")
        mend()
        assert found is not None, name
        assert (found.name, found.kind, found.is_weight) == (f"prefix.{name}", "nan", True)


def test_infinity_is_told_from_nan(parts: Parts) -> None:
    network, call = parts["unet"]
    layer = network.get_submodule("input_blocks.0.0")
    bias = layer.get_parameter("bias")
    layer.register_parameter("bias", nn.Parameter(torch.full_like(bias, math.inf), requires_grad=False))
    found = first_bad_layer(network, call)
    layer.register_parameter("bias", bias)
    assert found is not None
    assert (found.name, found.kind, found.is_weight) == ("input_blocks.0.0", "inf", True)
    assert math.isfinite(found.size)


def test_numbers_beyond_float16_are_found_and_sized(parts: Parts) -> None:
    network, call = parts["vae"]
    layer = network.get_submodule("decoder.up.1.block.0.conv1")
    weight = layer.get_parameter("bias")
    layer.register_parameter("bias", nn.Parameter(weight + 70_000, requires_grad=False))
    found = first_bad_layer(network, call)
    layer.register_parameter("bias", weight)
    assert found is not None
    assert (found.name, found.kind, found.is_weight) == ("decoder.up.1.block.0.conv1", "beyond-fp16", False)
    assert found.size == pytest.approx(70_000, rel=0.01)


def test_broken_goes_before_beyond(parts: Parts) -> None:
    network, call = parts["vae"]
    mends = [poisoned(network, "decoder.conv_in", 1e6), poisoned(network, "decoder.conv_out", math.nan)]
    found = first_bad_layer(network, call)
    for mend in mends:
        mend()
    assert found is not None
    assert (found.name, found.kind) == ("decoder.conv_out", "nan")


class Sum(Layer):
    """Two layers that are sound, and a sum between them that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) + x)


def test_a_sum_that_overflows_is_the_fault_of_what_sums() -> None:
    network = nn.ModuleDict({"outer": Sum()})
    found = first_bad_layer(network, lambda: network["outer"](torch.full((2,), 60_000.0, dtype=torch.float16)))
    assert found is not None
    assert (found.name, found.kind, found.is_weight) == ("outer", "inf", False)


def test_leaves_no_hook_behind(parts: Parts) -> None:
    network, call = parts["unet"]
    first_bad_layer(network, call)

    def fails() -> None:
        call()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first_bad_layer(network, fails)
    assert not any(module._forward_hooks for module in network.modules())
