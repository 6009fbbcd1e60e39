"""Weights of bitsandbytes as floats, against its published definition spelled out element by element."""

from __future__ import annotations

import json
from math import ceil, prod
from typing import Any

import numpy as np
import pytest

from modelhub.errors import CorruptFileError
from modelhub.formats.packed.four_bit import FourBit
from modelhub.formats.packed.view import Unpacked
from modelhub.formats.views import Held

f32 = np.float32
#: The 16 numbers of NF4, from the paper (Dettmers et al. 2023, appendix E), and of FP4: sign, two bits, one bit, by 12.
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
FP4 = [sign * size / 12 for sign in (1, -1) for size in (0, 0.0625, 8, 12, 4, 6, 2, 3)]
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]
MARK = "w.quant_state.bitsandbytes__nf4"


def made(shape: tuple[int, ...], *, table: list[float] = NF4, block: int = 64, nested: int = 0) -> Tensors:
    """A random packed tensor `w`, as bitsandbytes saves it."""
    random = np.random.default_rng(prod(shape))
    count = prod(shape)
    blocks = ceil(count / block)
    state: dict[str, Any] = {"quant_type": "nf4", "blocksize": block, "dtype": "bfloat16", "shape": list(shape)}
    tensors: Tensors = {
        "w": ("U8", (ceil(count / 2), 1), random.bytes(ceil(count / 2))),
        "w.quant_map": ("F32", (16,), np.array(table, f32).tobytes()),
    }
    if nested:
        state |= {"nested_blocksize": nested, "nested_dtype": "float32", "nested_offset": 0.03125}
        outer = ceil(blocks / nested)
        tensors["w.absmax"] = ("U8", (blocks,), random.bytes(blocks))
        tensors["w.nested_absmax"] = ("F32", (outer,), random.random(outer, f32).tobytes())
        tensors["w.nested_quant_map"] = ("F32", (256,), np.linspace(-1, 1, 256, dtype=f32).tobytes())
    else:
        tensors["w.absmax"] = ("F32", (blocks,), random.random(blocks, f32).tobytes())
    return described(tensors, state)


def described(tensors: Tensors, state: Any) -> Tensors:
    text = json.dumps(state).encode()
    return {**tensors, MARK: ("U8", (len(text),), text)}


def spelled(tensors: Tensors) -> np.ndarray:
    """Each element by itself, in float32."""
    state = json.loads(tensors[MARK][2])
    table, absmax = np.frombuffer(tensors["w.quant_map"][2], f32), tensors["w.absmax"]
    out = []
    for index in range(prod(state["shape"])):
        byte = tensors["w"][2][index // 2]
        code, block = (byte & 15 if index % 2 else byte >> 4), index // state["blocksize"]
        if absmax[0] == "U8":
            inner = np.frombuffer(tensors["w.nested_quant_map"][2], f32)[absmax[2][block]]
            outer = np.frombuffer(tensors["w.nested_absmax"][2], f32)[block // state["nested_blocksize"]]
            scale = inner * outer + f32(state["nested_offset"])
        else:
            scale = np.frombuffer(absmax[2], f32)[block]
        out.append(table[code] * scale)
    return np.array(out, f32).reshape(state["shape"])


def view(tensors: Tensors) -> Unpacked:
    source = Held(tensors)
    return Unpacked(source, {"w": FourBit(source, "w", MARK)})


@pytest.mark.parametrize("table", [NF4, FP4], ids=["nf4", "fp4"])
@pytest.mark.parametrize("nested", [0, 256, 4])
@pytest.mark.parametrize("shape", [(8, 64), (3, 5, 7), (1,), (2, 129), (0, 4), ()])
def test_numbers_are_those_of_the_definition(table: list[float], nested: int, shape: tuple[int, ...]):
    tensors = made(shape, table=table, nested=nested)
    source = view(tensors)
    assert source.info("w").shape == shape
    found = np.frombuffer(source.read_bytes("w"), "<f4").reshape(shape)
    np.testing.assert_array_equal(found, spelled(tensors))


@pytest.mark.parametrize(("block", "nested"), [(64, 0), (64, 256), (4096, 4), (48, 0), (65536, 0)])
def test_any_stretch_is_that_of_the_whole(block: int, nested: int):
    tensors = made((331, 421), block=block, nested=nested)
    source = view(tensors)
    whole = spelled(tensors).tobytes()
    assert source.read_bytes("w") == whole
    for low, high in np.sort(np.random.default_rng(3).integers(0, len(whole), (20, 2))):
        part = bytearray(int(high - low))
        source.read_into("w", int(low), memoryview(part))
        assert part == whole[low:high]


def test_scales_that_are_not_finite_show():
    tensors = made((4, 64))
    tensors["w.absmax"] = ("F32", (4,), np.array([np.nan, np.inf, 1, 1], f32).tobytes())
    found = np.frombuffer(view(tensors).read_bytes("w"), "<f4").reshape(4, 64)
    assert np.isnan(found[0]).all() and not np.isfinite(found[1]).any() and np.isfinite(found[2:]).all()


GOOD = {"blocksize": 64, "shape": [8, 64]}
NESTED = {**GOOD, "nested_blocksize": 256, "nested_offset": 0.5}


@pytest.mark.parametrize(
    "state",
    [
        [], "x", {}, {"blocksize": 64}, {"shape": [8, 64]}, {**GOOD, "blocksize": 0}, {**GOOD, "blocksize": 63},
        {**GOOD, "blocksize": -64}, {**GOOD, "blocksize": 1 << 20}, {**GOOD, "blocksize": True}, {**GOOD, "shape": [8, 65]},
        {**GOOD, "shape": [8, -64]}, {**GOOD, "shape": [2**40, 2**40]}, {**GOOD, "shape": [8.0, 64]}, {**GOOD, "shape": 512},
        {**GOOD, "shape": [1] * 9}, {**GOOD, "blocksize": 128}, {**GOOD, "shape": ["8", "64"]}, {**GOOD, "pad": "x" * 5000},
        NESTED, {**NESTED, "nested_offset": "1"}, {**NESTED, "nested_blocksize": 3},
    ],
)  # fmt: skip
def test_a_description_that_contradicts_the_tensors_is_refused(state: Any):
    with pytest.raises(CorruptFileError, match="4-bit weight 'w"):
        view(described(made((8, 64)), state))


def test_a_description_that_is_no_json_is_refused():
    for text in (b"\xff\xfe", b"[" * 4000, b""):
        with pytest.raises(CorruptFileError, match="no JSON"):
            view({**made((8, 64)), MARK: ("U8", (len(text),), text)})


@pytest.mark.parametrize("name", ["w", "w.absmax", "w.quant_map", "w.nested_absmax", "w.nested_quant_map"])
def test_a_table_that_is_missing_or_too_short_is_named(name: str):
    whole = made((8, 64), nested=256)
    _, _, data = whole[name]
    for wrong in ({}, {name: ("U8", (3,), data[:3])}, {name: ("F16", (len(data) // 2,), data[: len(data) // 2 * 2])}):
        with pytest.raises(CorruptFileError, match=f"'{name}' should have"):
            view({**{key: entry for key, entry in whole.items() if key != name}, **wrong})
