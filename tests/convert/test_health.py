"""Numbers that are none: counted as numpy counts them, whatever their dtype and wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import opened

from modelhub.convert.repair import health
from modelhub.convert.repair.health import Cleaned, Health, examine
from modelhub.formats.views import Held

FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def counted(values):
    """What numpy says of an array."""
    wide = values.astype("<f8")
    return Health(
        int(np.isnan(wide).sum()),
        int(np.isposinf(wide).sum()),
        int(np.isneginf(wide).sum()),
        int((np.abs(wide) == float(np.finfo(values.dtype).max)).sum()),
        not wide.any(),
    )


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_counts_are_those_of_numpy(dtype, data):
    kind = FLOATS[dtype]
    limit = float(np.finfo(kind).max)
    numbers = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.nan, -np.nan, np.inf, -np.inf, limit, -limit])
    values = np.array(data.draw(st.lists(numbers, min_size=1, max_size=50)), kind)
    expected = counted(values)
    found = examine(Held({"a": (dtype, values.shape, values.tobytes())}), ["a"])
    assert found.get("a", Health(zero=False)) == expected


def test_every_pattern_of_16_bits():
    import torch

    patterns = np.arange(65536, dtype="<u2")
    for dtype, kind in (("F16", torch.float16), ("BF16", torch.bfloat16)):
        values = torch.from_numpy(patterns.copy()).view(kind)
        found = examine(Held({"a": (dtype, (65536,), patterns.tobytes())}), ["a"])["a"]
        assert found.nan == int(values.isnan().sum())
        assert (found.positive, found.negative) == (1, 1)
        assert found.edge == int((values.abs() == torch.finfo(kind).max).sum())


@pytest.mark.parametrize(("dtype", "name"), [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2")])
def test_every_pattern_of_8_bits(dtype, name):
    import torch

    values = torch.arange(256).to(torch.uint8).view(getattr(torch, name)).float()
    found = examine(Held({"a": (dtype, (256,), bytes(range(256)))}), ["a"])["a"]
    assert found.nan == int(values.isnan().sum())
    assert (found.positive, found.negative) == (int((values == np.inf).sum()), int((values == -np.inf).sum()))
    assert found.edge == int((values.abs() == torch.finfo(getattr(torch, name)).max).sum())


def test_damage_is_found_in_any_block(monkeypatch):
    monkeypatch.setattr(health, "_BLOCK", 64)
    values = np.ones(1000, "<f4")
    values[[0, 15, 16, 999]] = np.nan, np.inf, -np.inf, np.nan
    found = examine(Held({"a": ("F32", (1000,), values.tobytes())}), ["a"])
    assert found == {"a": Health(2, 1, 1, 0, zero=False)}


def test_only_what_is_of_note_and_only_floats():
    integers = ("I64", (2,), bytes([255] * 16))
    fine = ("F32", (2,), np.ones(2, "<f4").tobytes())
    source = opened({"i": integers, "fine": fine, "zero": ("F32", (2,), bytes(8)), "none": ("F32", (0,), b"")})
    assert examine(source, source.header.tensors) == {"zero": Health(zero=True)}


def test_cleaning_puts_zeros_and_leaves_the_rest():
    values = np.array([1, np.nan, -np.inf, 65504, np.inf, -3], "<f2")
    entry = ("F16", (6,), values.tobytes())
    view = Cleaned(opened({"a": entry, "b": entry}), ["a"])
    assert np.frombuffer(view.read_bytes("a"), "<f2").tolist() == [1, 0, 0, 65504, 0, -3]
    assert view.read_bytes("b") == entry[2]
    piece = bytearray(3)  # a stretch that cuts elements
    view.read_into("a", 3, memoryview(piece))
    assert bytes(piece) == view.read_bytes("a")[3:6]
