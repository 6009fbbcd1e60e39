"""Packed weights: the same results, no second copy, and plain again for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from modelhub.preview.networks import packing
from modelhub.preview.networks.layers import Conv, Parts
from modelhub.preview.networks.packing import dense, is_possible, pack_when_used
from modelhub.preview.networks.tree import Tree
from modelhub.preview.networks.watching import first_bad_layer

pytestmark = pytest.mark.skipif(not is_possible(), reason="this CPU does not pack")


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def convolutions(dtype: torch.dtype = torch.float32) -> Parts:
    """A 3x3 convolution, one of stride 2 and a 1x1 one."""
    kinds = {"0": (48, 32, 3, 3), "1": (64, 48, 3, 3), "2": (32, 64, 1, 1)}
    tree = Tree.of(
        {f"{n}.weight": shape for n, shape in kinds.items()} | {f"{n}.bias": s[:1] for n, s in kinds.items()}
    )
    parts = {n: Conv(tree[n], size=kinds[n][-1], stride=2 if n == "1" else 1) for n in kinds}
    network = Parts(parts)
    torch.manual_seed(0)
    for conv in parts.values():
        conv.register_parameter("weight", nn.Parameter((torch.randn(conv.weight.shape) * 0.1).to(dtype), False))
        conv.register_parameter("bias", nn.Parameter(torch.randn(conv.outputs).to(dtype), False))
    return network


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(packing, "_LARGE", 0)
    network = convolutions()
    pack_when_used(network)
    return network


@pytest.mark.parametrize("shape", [(2, 32, 9, 7), (1, 32, 1, 1), (3, 32, 40, 40)])
def test_computes_the_same_for_every_size(packed: Parts, shape: tuple[int, ...]) -> None:
    plain = convolutions()
    packed(torch.randn(2, 32, 5, 5))  # packs for this size
    x = torch.randn(shape)
    torch.testing.assert_close(packed(x), plain(x), atol=1e-5, rtol=1e-5)
    x = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(packed(x), plain(x), atol=1e-5, rtol=1e-5)


def test_the_packed_weight_takes_the_place_of_the_plain_one(packed: Parts) -> None:
    before = {name: weight.clone() for name, weight in packed.named_parameters()}
    packed(torch.randn(2, 32, 5, 5))
    after = dict(packed.named_parameters())
    assert [name for name, weight in after.items() if weight.is_mkldnn] == ["0.weight", "1.weight", "2.weight"]
    assert all(torch.equal(dense(weight), before[name]) for name, weight in after.items())


def test_a_new_weight_is_packed_anew(packed: Parts) -> None:
    x = torch.randn(2, 32, 5, 5)
    packed(x)
    plain = convolutions()
    for network in (packed, plain):
        network.get_submodule("1").register_parameter("weight", nn.Parameter(torch.ones(64, 48, 3, 3), False))
    torch.testing.assert_close(packed(x), plain(x), atol=1e-3, rtol=1e-5)


def test_another_precision_makes_it_plain_again(packed: Parts) -> None:
    x = torch.randn(2, 32, 5, 5)
    packed(x)
    assert torch.equal(packed(x.bfloat16()), convolutions()(x.bfloat16()))
    torch.testing.assert_close(packed(x), convolutions()(x), atol=1e-5, rtol=1e-5)


def test_a_poisoned_packed_weight_is_found(packed: Parts) -> None:
    x = torch.randn(2, 32, 5, 5)
    packed.get_submodule("1").get_parameter("weight")[0, 0] = torch.nan
    packed(x)
    found = first_bad_layer(packed, lambda: packed(x))
    assert found is not None
    assert (found.name, found.is_weight) == ("1", True)


def test_small_weights_stay_plain() -> None:
    network = convolutions()
    pack_when_used(network)
    network(torch.randn(2, 32, 5, 5))
    assert not any(weight.is_mkldnn for weight in network.parameters())
