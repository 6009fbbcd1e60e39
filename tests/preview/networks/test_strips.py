"""A VAE in strips: the picture of the whole, whatever the size and the strips, from a strip's worth of memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from demo_model import demo_vae
from ldm_names import random_tensors, vae_shapes
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.strips import decode_in_strips, encode_in_strips
from modelhub.preview.networks.vae import Vae

pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture(scope="module")
def vae() -> Vae:
    return demo_vae()


@pytest.mark.parametrize("size", [(1, 1), (9, 7), (2, 31)])
@pytest.mark.parametrize("strip", [1, 3 << 18, 64 << 20])
def test_decodes_as_the_whole_does(vae: Vae, size: tuple[int, int], strip: int) -> None:
    z = torch.randn((2, 4, *size), generator=torch.Generator().manual_seed(0)) * 1.5
    torch.testing.assert_close(decode_in_strips(vae, z, size=strip), vae.decode(z), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(16, 8), (71, 43), (9, 100)])
@pytest.mark.parametrize("strip", [1, 3 << 18])
def test_encodes_as_the_whole_does(vae: Vae, size: tuple[int, int], strip: int) -> None:
    x = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    for found, expected in zip(encode_in_strips(vae, x, size=strip), vae.encode(x), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_other_vaes(vae: Vae) -> None:
    """Three levels, attention as matrices, more latents, no quant_conv: as Flux has it."""
    shapes = vae_shapes(mult=(1, 2, 2), blocks=2, latents=16, quant=False, kernel=())
    network = Vae(shapes)
    network.load_state_dict(random_tensors(shapes), assign=True)
    z = torch.randn(1, 16, 6, 5)
    torch.testing.assert_close(decode_in_strips(network, z, size=1), network.decode(z), atol=1e-4, rtol=1e-4)


def test_half_precision_is_as_good_as_the_whole(vae: Vae) -> None:
    z = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    exact = vae.decode(z)
    vae.computes = torch.bfloat16
    try:
        whole, strips = vae.decode(z), decode_in_strips(vae, z, size=1 << 18)
    finally:
        vae.computes = torch.float32
    assert (strips - exact).abs().mean() < 1.2 * (whole - exact).abs().mean()


def test_no_device_is_asked_for_doubles(vae: Vae, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have none: statistics are made doubles at home."""
    came, cpu = list[torch.dtype](), Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: came.append(tensor.dtype) or cpu(tensor))
    decode_in_strips(vae, torch.randn(1, 4, 3, 3), size=1)
    assert set(came) == {torch.float32}


class Largest(TorchDispatchMode):
    """The largest tensor that was made, but for buffers of the whole map, which are made empty."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and "empty" not in str(func):
            self.size = max(self.size, found.numel() * found.itemsize)
        return found


def test_works_on_a_strip_at_a_time(vae: Vae) -> None:
    z = torch.randn(1, 4, 64, 8)
    with Largest() as whole:
        vae.decode(z)
    with Largest() as strips:
        decode_in_strips(vae, z, size=1 << 20)
    assert strips.size <= 1 << 20 < whole.size / 4


def test_a_half_that_is_not_there_is_said() -> None:
    shapes = vae_shapes()
    decoder = Vae({name: shape for name, shape in shapes.items() if "encoder" not in name})
    encoder = Vae({name: shape for name, shape in shapes.items() if "decoder" not in name and "post" not in name})
    with pytest.raises(IncompatibleError, match="no encoder"):
        encode_in_strips(decoder, torch.zeros(1, 3, 8, 8))
    with pytest.raises(IncompatibleError, match="no decoder"):
        decode_in_strips(encoder, torch.zeros(1, 4, 8, 8))
