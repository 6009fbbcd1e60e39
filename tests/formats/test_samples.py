"""Decoded numbers against torch for every bit pattern; rounding steps against torch's own rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.samples import PRECISIONS, coarser, decode, read_numbers, steps

TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
#: The largest number of each precision.
LARGEST = {name: torch.finfo(dtype).max for name, dtype in TORCH.items()}


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_bit_pattern_is_decoded_as_torch_does(dtype: str):
    size = PRECISIONS[dtype][0]
    codes = np.arange(256**size, dtype=f"<u{size}")
    want = torch.from_numpy(codes.view(f"<i{size}") if size > 1 else codes).view(TORCH[dtype]).to(torch.float64)
    np.testing.assert_array_equal(decode(dtype, codes.tobytes()), want.numpy())


@given(st.binary(min_size=8, max_size=800).map(lambda data: data[: len(data) // 8 * 8]))
def test_any_bytes_are_decoded_as_torch_does(data: bytes):
    for dtype in ("F32", "F64"):
        want = torch.frombuffer(bytearray(data), dtype=TORCH[dtype]).to(torch.float64)
        np.testing.assert_array_equal(decode(dtype, data), want.numpy())


@pytest.mark.parametrize("dtype", TORCH)
@given(values=st.lists(st.floats(-400, 400), min_size=1, max_size=50), scale=st.integers(-30, 0))
def test_rounding_is_half_a_step_at_most_and_the_next_number_one(dtype: str, values: list[float], scale: int):
    exact = torch.tensor(values, dtype=torch.float64) * 2.0**scale
    rounded = exact.to(torch.float32).to(TORCH[dtype]) if dtype != "F64" else exact
    near = exact if dtype == "F64" else exact.to(torch.float32).to(torch.float64)
    assert steps(near.numpy(), rounded.to(torch.float64).numpy(), dtype).max() <= 0.5


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_neighbours_are_one_step_apart(dtype: str):
    size = PRECISIONS[dtype][0]
    numbers = decode(dtype, np.arange(256**size // 2, dtype=f"<u{size}").tobytes())
    numbers = numbers[np.isfinite(numbers)]
    apart = steps(numbers[:-1], numbers[1:], dtype)
    assert set(apart.tolist()) == {0.5, 1.0}  # the step below a power of two is half of that above
    assert (apart == 0.5).sum() < 2 ** (8 * size - PRECISIONS[dtype][1])


def test_what_is_no_number():
    one = np.array([np.nan, np.nan, np.inf, np.inf, np.inf, 0.0, 1.0])
    two = np.array([np.nan, 1.0, np.inf, -np.inf, 1.0, -0.0, np.nan])
    assert steps(one, two, "F16").tolist() == [0, np.inf, 0, np.inf, np.inf, 0, np.inf]
    assert steps(np.zeros(0), np.zeros(0), "F32").size == 0


def test_the_coarser_precision():
    assert coarser("F32", "F16") == coarser("F16", "F32") == "F16"
    assert coarser("BF16", "F16") == "BF16"
    assert coarser("F8_E4M3", "F8_E5M2") == "F8_E5M2"


@pytest.mark.parametrize("dtype", TORCH)
def test_a_stretch_of_a_tensor(make_file, dtype: str):
    tensor = (torch.arange(60).reshape(3, 20) / 8).to(TORCH[dtype])
    with SafetensorsFile(make_file("a.safetensors", {"first": torch.ones(3), "w": tensor})) as source:
        got = read_numbers(source, "w", 17, 30)
    assert got.tolist() == tensor.to(torch.float64).flatten()[17:47].tolist()
