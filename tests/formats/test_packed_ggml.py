"""Blocks of GGUF as floats: against the structs of ggml spelled out here, and against the package gguf as a whole."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import CorruptFileError, IncompatibleError, NotFoundError, UsageError
from modelhub.formats.gguf import GgufFile
from modelhub.formats.header import BLOCKS
from modelhub.formats.packed.ggml import Blocks, check_blocks
from modelhub.formats.packed.view import Unpacked
from modelhub.formats.views import Held

f32 = np.float32
IMPOSSIBLE = {"Q8_1", "Q8_K", "Q1_0", "Q2_0"}
POSSIBLE = sorted(set(BLOCKS) - IMPOSSIBLE)


def half(data: bytes) -> np.float32:
    return np.frombuffer(data, "<f2")[0].astype(f32)


def q4_0(block: bytes) -> list[np.float32]:
    """Scale; 16 bytes with elements 0 to 15 in their lower halves and 16 to 31 in the upper."""
    scale, codes = half(block[:2]), block[2:]
    return [f32((code & 15) - 8) * scale for code in codes] + [f32((code >> 4) - 8) * scale for code in codes]


def q8_0(block: bytes) -> list[np.float32]:
    return [f32(code) * half(block[:2]) for code in np.frombuffer(block[2:], np.int8)]


def q4_k(block: bytes) -> list[np.float32]:
    """Two scales of scales, 8 pairs of 6 bits in 12 bytes, and 4 times 32 bytes for 64 elements each."""
    scale, lowest, packed, codes = half(block[:2]), half(block[2:4]), block[4:16], block[16:]
    out = []
    for group in range(8):
        if group < 4:
            step, base = packed[group] & 63, packed[group + 4] & 63
        else:
            step = packed[group + 4] & 15 | packed[group - 4] >> 6 << 4
            base = packed[group + 4] >> 4 | packed[group] >> 6 << 4
        part = codes[group // 2 * 32 : group // 2 * 32 + 32]
        numbers = [code >> 4 if group % 2 else code & 15 for code in part]
        out += [(scale * f32(step)) * f32(number) - lowest * f32(base) for number in numbers]
    return out


def q6_k(block: bytes) -> list[np.float32]:
    """128 bytes of lower halves, 64 of two upper bits, 16 signed scales, and the scale of those."""
    scales, scale = np.frombuffer(block[192:208], np.int8), half(block[208:])
    out = []
    for index in range(256):
        side, quarter, place = index // 128, index % 128 // 32, index % 32
        low = block[64 * side + 32 * (quarter % 2) + place]
        high = block[128 + 32 * side + place] >> 2 * quarter & 3
        number = (low >> 4 if quarter > 1 else low & 15) | high << 4
        out.append((scale * f32(scales[index // 16])) * f32(number - 32))
    return out


SPELLED: dict[str, Callable[[bytes], list[np.float32]]] = {"Q4_0": q4_0, "Q8_0": q8_0, "Q4_K": q4_k, "Q6_K": q6_k}


def random_blocks(dtype: str, count: int, seed: int = 0) -> bytes:
    return np.random.default_rng([seed, *dtype.encode()]).bytes(BLOCKS[dtype][1] * count)


@pytest.fixture
def view(tmp_path: Path):
    """`view({name: (dtype, shape, bytes)})`: the view of a GGUF file that the package wrote."""
    opened = []

    def make(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> Unpacked:
        path = tmp_path / f"{len(opened)}.gguf"
        writer = gguf.GGUFWriter(path, "flux")
        for name, (dtype, shape, data) in tensors.items():
            elements, size = BLOCKS[dtype]
            rows = np.frombuffer(data, np.uint8).reshape(*shape[:-1], shape[-1] // elements * size)
            writer.add_tensor(name, rows, raw_dtype=gguf.GGMLQuantizationType[dtype])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        source = GgufFile(path)
        opened.append(Unpacked(source, {name: Blocks(source, name) for name in tensors}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def floats(source: Unpacked, name: str) -> np.ndarray:
    return np.frombuffer(source.read_bytes(name), "<f4")


@pytest.mark.parametrize("dtype", SPELLED)
def test_numbers_are_those_of_the_struct(view, dtype: str):
    """Random blocks have random scales: among 3,000 there are NaN, inf, and the smallest of fp16."""
    count = 40
    data = bytearray(random_blocks(dtype, count))
    size = BLOCKS[dtype][1]
    at = 208 if dtype == "Q6_K" else 0
    for block, scale in enumerate((np.nan, np.inf, -np.inf, 65504, 6e-8, -0.0)):
        data[block * size + at : block * size + at + 2] = np.float16(scale).tobytes()
    with np.errstate(all="ignore"):
        want = [number for i in range(count) for number in SPELLED[dtype](bytes(data[i * size : (i + 1) * size]))]
    found = floats(view({"w": (dtype, (count, BLOCKS[dtype][0]), bytes(data))}), "w")
    assert np.isnan(found).any() and not np.isfinite(found).all()
    np.testing.assert_array_equal(found, np.array(want, f32))


@pytest.mark.parametrize("dtype", POSSIBLE)
def test_any_stretch_is_that_of_the_whole(view, dtype: str):
    """Three windows and a bit; starts and lengths that are no multiples of anything."""
    elements = BLOCKS[dtype][0]
    count = 200_704 // elements
    data = random_blocks(dtype, count)
    source = view({"w": (dtype, (7, count // 7 * elements), data)})
    assert (source.info("w").dtype, source.info("w").shape) == ("F32", (7, 200_704 // 7))
    with np.errstate(all="ignore"):
        whole = gguf.quants.dequantize(np.frombuffer(data, np.uint8), gguf.GGMLQuantizationType[dtype]).tobytes()
    assert source.read_bytes("w") == whole
    random = np.random.default_rng(1)
    for low, high in [(0, 1), (3, 4), (len(whole) - 1, len(whole)), *np.sort(random.integers(0, len(whole), (12, 2)))]:
        part = bytearray(int(high - low))
        source.read_into("w", int(low), memoryview(part))
        assert part == whole[low:high]


@pytest.mark.parametrize(("dtype", "most"), [("Q8_0", 0.57 / 127), ("Q5_1", 0.57 / 31), ("Q4_0", 1 / 8)])
def test_what_was_packed_comes_back_within_a_step(view, dtype: str, most: float):
    """Half a step of each block, and what the scale lost as fp16; Q4_0 has one step too few on one side."""
    weights = np.random.default_rng(5).standard_normal((12, 128)).astype(f32)
    packed = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[dtype])
    found = floats(view({"w": (dtype, weights.shape, packed.tobytes())}), "w").reshape(weights.shape)
    blocks = np.abs(found - weights).reshape(-1, 32).max(1)
    spread = np.ptp(weights.reshape(-1, 32), axis=1) if dtype == "Q5_1" else np.abs(weights).reshape(-1, 32).max(1)
    assert (blocks <= spread * most).all() and blocks.max() > 0


@given(st.data())
def test_windows_of_many_tensors(data: st.DataObject):
    """A block of Q4_0 whose scale is 1 counts: the number at each place is known without unpacking."""
    blocks = data.draw(st.integers(1, 5000))
    offset = data.draw(st.integers(0, blocks * 128))
    size = data.draw(st.integers(0, blocks * 128 - offset))
    raw = (np.float16(1).tobytes() + bytes(16 * code + code for code in range(16))) * blocks
    source = _Packed(raw)
    want = (np.arange(-8, 8, dtype=f32).tobytes() * 2 * blocks)[offset : offset + size]
    part = bytearray(size)
    Unpacked(source, {"w": Blocks(source, "w")}).read_into("w", offset, memoryview(part))
    assert part == want


class _Packed(Held):
    """Blocks of Q4_0 in memory."""

    def __init__(self, raw: bytes) -> None:
        super().__init__({"w": ("Q4_0", (len(raw) // 18, 32), raw)})


def test_memory_is_that_of_a_window():
    raw = bytes(18 * 262_144)
    source = _Packed(raw)
    view = Unpacked(source, {"w": Blocks(source, "w")})
    buffer = bytearray(32 << 20)
    view.read_into("w", 0, memoryview(buffer)[: 1 << 20])
    tracemalloc.start()
    view.read_into("w", 0, memoryview(buffer))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_the_rest_is_as_it_was(view):
    source = view({"w": ("Q4_0", (1, 32), random_blocks("Q4_0", 1))})
    assert source.place("w") is None and source.crc32("w") is None
    other = Held({"b": ("F16", (2,), b"abcd"), "w": ("Q4_0", (1, 32), bytes(18))})
    both = Unpacked(other, {"w": Blocks(other, "w")})
    assert both.read_bytes("b") == b"abcd" and both.header.dtypes() == {"F32": 32, "F16": 2}
    for offset, size in ((-1, 2), (128, 1), (0, 129)):
        with pytest.raises(IndexError):
            both.read_into("w", offset, memoryview(bytearray(size)))
    with pytest.raises(NotFoundError):
        both.read_bytes("c")


def test_a_file_that_became_shorter_is_noticed(view, tmp_path: Path):
    source = view({"w": ("Q8_0", (64, 32), random_blocks("Q8_0", 64))})
    path = tmp_path / "0.gguf"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 40)
    with pytest.raises(CorruptFileError, match="became shorter"):
        source.read_bytes("w")


@pytest.mark.parametrize("dtype", sorted(IMPOSSIBLE))
def test_a_type_that_cannot_be_done_is_named(dtype: str):
    with pytest.raises(IncompatibleError, match=f"blocks of {dtype} cannot be unpacked") as caught:
        check_blocks(dtype)
    assert "fp16 or bf16 original" in caught.value.hint


def test_every_other_type_can_be_done():
    for dtype in POSSIBLE:
        check_blocks(dtype)


def test_without_the_package_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UsageError, match=r"blocks of Q4_K .* package gguf, which is not installed") as caught:
        check_blocks("Q4_K")
    assert "pip install" in caught.value.hint
