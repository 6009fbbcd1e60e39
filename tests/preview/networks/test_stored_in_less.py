"""Weights stored in fewer bits than the network computes in: as good as weights that were rounded and stored in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from flux_names import SmallFlux, clip_shapes, t5_shapes
from ldm_names import Shapes, SmallUNet, random_tensors, vae_shapes
from torch.utils._python_dispatch import TorchDispatchMode

from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.layers import Layer, Table
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.tree import Tree
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

IDS, ENDS = torch.arange(40).reshape(2, 20), torch.tensor([3, 19])


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


Call = Callable[[Any], torch.Tensor]
NETWORKS: dict[str, tuple[Callable[[Shapes], Layer], Shapes, Call]] = {
    "unet": (
        UNet,
        SmallUNet(vector=20).shapes(),
        lambda network: network(noise(2, 4, 7, 6), torch.tensor([500.0, 2.5]), noise(2, 5, 24), noise(2, 20)),
    ),
    "vae": (Vae, vae_shapes(), lambda network: network.decode(noise(1, 4, 5, 6))),
    "clip": (
        text_encoder,
        {**clip_shapes(), "text_projection.weight": (40, 64)},
        lambda network: torch.cat([part.flatten() for part in network.encode_and_pool(network.embed(IDS), ENDS)]),
    ),
    "t5": (T5, t5_shapes(), lambda network: network(IDS)),
    "flux": (
        Flux,
        SmallFlux().shapes(),
        lambda network: network(noise(2, 16, 7, 6), noise(2), noise(2, 5, 24), noise(2, 20), noise(2)),
    ),
}


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize(("build", "shapes", "call"), NETWORKS.values(), ids=NETWORKS)
@torch.inference_mode()
def test_casting_in_use_is_casting_before(
    build: Callable[[Shapes], Layer], shapes: Shapes, call: Call, stored: torch.dtype
) -> None:
    tensors = random_tensors(shapes)
    less = {name: value.to(stored) for name, value in tensors.items()}
    network, full = build(shapes), build(shapes)
    network.load_state_dict(less, strict=True, assign=True)
    full.load_state_dict({name: value.float() for name, value in less.items()}, strict=True, assign=True)
    network.computes = torch.float32
    got = call(network)
    assert got.std() > 0.1
    assert torch.equal(got, call(full))
    assert {parameter.dtype for parameter in network.parameters()} == {stored}


class NoSmallRows(TorchDispatchMode):
    """As CUDA in older torch: rows of a table of 8-bit floats cannot be taken."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("embedding", "index_select"):
            assert args[0].dtype not in (torch.float8_e4m3fn, torch.float8_e5m2), f"{func} of {args[0].dtype}"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
@torch.inference_mode()
def test_rows_of_8_bits_are_taken_on_any_device(stored: torch.dtype) -> None:
    table = Table(Tree.of({"weight": (50, 32)}))
    weight = noise(50, 32).to(stored)
    table.weight = torch.nn.Parameter(weight, requires_grad=False)
    with NoSmallRows():
        found = table(IDS)
    assert torch.equal(found, weight.float()[IDS])
