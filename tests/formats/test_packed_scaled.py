"""Weights with scales as floats, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelhub.errors import IncompatibleError
from modelhub.formats.packed.scaled import Scaled
from modelhub.formats.packed.view import Unpacked
from modelhub.formats.safetensors import SafetensorsFile

DTYPES = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


@pytest.fixture
def unpack(make_file):
    """`unpack(weight, scale)`: the view of a file with these two."""

    def make(weight: torch.Tensor, scale: torch.Tensor) -> Unpacked:
        source = SafetensorsFile(make_file("a.safetensors", {"w": weight, "s": scale}))
        return Unpacked(source, {"w": Scaled(source, "w", "s")})

    return make


def same(found: torch.Tensor, want: torch.Tensor) -> bool:
    assert (found.dtype, found.shape) == (torch.float32, want.shape)
    return np.array_equal(found.numpy(), want.numpy(), equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, -0.0123, 3e38, 1e-44, float("inf"), float("nan"), 0.0])
def test_every_byte_times_any_scale(unpack, dtype: str, scale: float):
    weight = torch.arange(256, dtype=torch.uint8).view(DTYPES[dtype]).reshape(16, 16)
    with unpack(weight, torch.tensor(scale)) as view:
        found = view.tensor("w")
    assert same(found, weight.float() * torch.tensor(scale))
    assert torch.isnan(found).any(), "what is not finite is not hidden"


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (6,), (6, 1), (6, 1, 1, 1)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_one_scale_or_one_for_each_row(unpack, shape: tuple[int, ...], kind: torch.dtype):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, 4, 3, 3, generator=generator).to(torch.float8_e4m3fn)
    scale = torch.rand(shape, generator=generator).to(kind)
    rows = scale.float().reshape(-1, 1, 1, 1)
    with unpack(weight, scale) as view:
        assert same(view.tensor("w"), weight.float() * rows)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_wider_weights_may_have_a_scale_too(unpack, kind: torch.dtype):
    weight = torch.linspace(-3, 3, 12).reshape(3, 4).to(kind)
    with unpack(weight, torch.tensor([0.5, 2, 1e-3])) as view:
        assert same(view.tensor("w"), weight.float() * torch.tensor([[0.5], [2], [1e-3]]))


@pytest.mark.parametrize("shape", [(7, 30_000), (30_000, 7), (210_000, 1), (1, 210_000)])
def test_any_stretch_is_that_of_the_whole(unpack, shape: tuple[int, int]):
    """Rows longer and shorter than a window, and more windows than one."""
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(shape, generator=generator).to(torch.float8_e5m2)
    scale = torch.rand(shape[0], generator=generator)
    whole = (weight.float() * scale[:, None]).numpy().tobytes()
    with unpack(weight, scale) as view:
        assert view.read_bytes("w") == whole
        for low, high in np.sort(np.random.default_rng(3).integers(0, len(whole), (20, 2))):
            part = bytearray(int(high - low))
            view.read_into("w", int(low), memoryview(part))
            assert part == whole[low:high]
        assert same(view.rows("w", shape[0] // 2, shape[0]), (weight.float() * scale[:, None])[shape[0] // 2 :])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_nothing_stays_nothing(unpack, shape: tuple[int, int]):
    with unpack(torch.zeros(shape).to(torch.float8_e4m3fn), torch.ones(shape[0])) as view:
        assert view.tensor("w").shape == shape


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (torch.ones(4), "[4]"), (torch.ones(1, 6), "[1, 6]"), (torch.ones(3, 2), "[3, 2]"), (torch.ones(0), "[0]"),
        (torch.ones(6, dtype=torch.uint8), "U8 [6]"), (torch.ones(()).to(torch.float8_e4m3fn), "F8_E4M3 []"),
    ],
)  # fmt: skip
def test_scales_of_another_kind_are_refused(unpack, scale: torch.Tensor, said: str):
    with pytest.raises(IncompatibleError, match="does not fit the weight 'w'") as caught:
        unpack(torch.ones(6, 6).to(torch.float8_e4m3fn), scale)
    assert "'s'" in caught.value.message and said in caught.value.message and "original" in caught.value.hint
