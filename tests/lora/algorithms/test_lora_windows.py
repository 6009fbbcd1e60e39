"""Any windows of rows that keep to the step make what the whole makes, for every algorithm and form."""

from __future__ import annotations

import pytest
import torch
from algorithms_helper import FORMS, LINEAR, THREE, Weight, forms, made, step, values, window
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.lora.algorithms.applying import change_of
from modelhub.lora.algorithms.registry import Given


@pytest.mark.parametrize(("name", "shape"), FORMS)
@settings(max_examples=12)
@given(data=st.data())
def test_windows_are_the_whole(name, shape, data):
    algorithm, parts = forms(shape)[name]
    change, rows = made(algorithm, parts, values(9, *shape))
    size = step(algorithm, parts, shape)
    whole = window(change, rows, 0, 8)
    low = data.draw(st.integers(0, 8 // size - 1))
    high = data.draw(st.integers(low + 1, 8 // size))
    found = window(change, rows, low * size, high * size)
    assert torch.allclose(found, whole[low * size : high * size], rtol=1e-6, atol=1e-7)
    assert bool(whole.any())


@pytest.mark.parametrize("name", list(forms(LINEAR)))
def test_a_weight_of_64_bits_keeps_them(name):
    """Rows that were read in fp64 are changed in fp64 where the change depends on them."""
    algorithm, parts = forms(LINEAR)[name]
    change, rows = made(algorithm, parts, values(9, *LINEAR))
    single = window(change, rows, 0, 8)
    rows.matrix = rows.matrix.double()
    change, _ = made(algorithm, parts, values(9, *LINEAR))
    change.weight = rows
    double = change.rows(0, 8, rows.matrix if change.needs_weight else None)
    assert torch.allclose(double.double(), single.double(), rtol=1e-4, atol=1e-5)
    assert double.dtype == (torch.float64 if change.needs_weight else torch.float32)


@pytest.mark.parametrize("name", list(forms(THREE)))
def test_at_strength_m_m_times_as_much_is_added(name):
    algorithm, parts = forms(THREE)[name]
    change, rows = made(algorithm, parts, values(9, *THREE))
    to = rows.matrix.clone()
    change.add(to, 0, 8, to if change.needs_weight else None, 0.25)
    assert torch.allclose(to, rows.matrix + 0.25 * window(change, rows, 0, 8), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(forms(THREE)))
@pytest.mark.parametrize("kinds", [(torch.float64, torch.float32), (torch.float32, torch.float64), (torch.float16,)])
def test_parts_of_several_types_are_read_as_one(name, kinds):
    algorithm, parts = forms(THREE)[name]
    kept = {part: torch.from_numpy(value).to(kinds[at % len(kinds)]) for at, (part, value) in enumerate(parts.items())}
    rows = Weight(values(9, *THREE))
    change = change_of(algorithm, Given(kept, THREE), rows)
    same, _ = made(algorithm, {part: value.double().numpy() for part, value in kept.items()}, values(9, *THREE))
    assert torch.allclose(window(change, rows, 0, 8).float(), window(same, rows, 0, 8), rtol=1e-4, atol=1e-5)
