"""IA3, GLoRA, full differences and norms against their formulas in fp64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from algorithms_helper import CLOSE, LAYERS, LINEAR, ONE, THREE, delta, made, values

from modelhub.errors import CorruptFileError, IncompatibleError


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("on_input", "size"), [(1, 12), (0, 8)])
def test_factors_of_inputs_or_outputs(shape, on_input, size):
    factors, weight = values(1, size), values(2, *shape)
    lying = factors if len(shape) == 2 else factors.reshape(1, size, 1, 1)
    along = (1, 12) if on_input else (8, 1)
    wanted = weight * factors.reshape(*along, *[1] * (len(shape) - 2))
    assert np.allclose(delta("ia3", {"scale": lying, "on_input": np.array(on_input)}, weight), wanted, **CLOSE)


def test_a_square_layer_is_scaled_on_the_side_that_the_file_says():
    weight, factors = values(1, 6, 6), values(2, 6)
    outputs = delta("ia3", {"scale": factors, "on_input": np.array(0)}, weight)
    inputs = delta("ia3", {"scale": factors, "on_input": np.array(1)}, weight)
    assert np.allclose(outputs, factors[:, None] * weight, **CLOSE)
    assert np.allclose(inputs, factors[None, :] * weight, **CLOSE)


@pytest.mark.parametrize(("on_input", "size"), [(1, 8), (0, 12)])
def test_factors_for_the_other_side_than_the_file_says_are_refused(on_input, size):
    parts = {"scale": values(1, size), "on_input": np.array(on_input)}
    with pytest.raises(CorruptFileError, match=f"some.module has {size} factors"):
        made("ia3", parts, values(2, *LINEAR))


def test_factors_of_peft_start_at_one_and_scale_the_bias_of_outputs():
    weight, bias = values(1, *LINEAR), torch.from_numpy(values(2, 8)).float()
    for factors in (values(3, 8, 1), values(3, 1, 12)):
        change, _ = made("ia3", {"factor": factors}, weight)
        assert np.allclose(delta("ia3", {"factor": factors}, weight), weight * factors - weight, **CLOSE)
        found = change.bias(bias)
        if factors.shape[0] == 1:
            assert found is None
        else:
            assert np.allclose(found.numpy(), bias.numpy() * (factors[:, 0] - 1), **CLOSE)
        assert change.bias(None) is None


def test_factors_of_a_square_convolution_may_be_those_of_either_side():
    with pytest.raises(IncompatibleError, match="may be those of the inputs or of the outputs"):
        made("ia3", {"factor": values(1, 1, 6, 1, 1)}, values(2, 6, 6, 3, 3))


def glora(shape, order, core=False):
    """W x + s (W A x + B x): what is added, from the parts of old or new files."""
    kernel = shape[2:]
    a = values(1, 12, 3), values(2, 3, 12)
    b = values(3, 8, 3), values(4, 3, 12, *(() if core else kernel))
    ones = [1] * len(kernel)
    factors = {"a1": a[0].reshape(12, 3, *ones), "a2": a[1].reshape(3, 12, *ones), "b1": b[0].reshape(8, 3, *ones)}
    factors["b2"] = b[1].reshape(3, 12, *(ones if core else kernel))
    added = np.einsum("or,ri...->oi...", *b)
    if core:
        factors["bm"] = values(5, 3, 3, *kernel)
        added = np.einsum("mn...,im,nj->ij...", factors["bm"], *b)
    if order == "old":
        swap = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
        factors = {swap[name]: value for name, value in factors.items()}
    weight = values(6, *shape)
    wanted = 0.5 * (np.einsum("oi...,ij->oj...", weight, a[0] @ a[1]) + added)
    return {**factors, "alpha": np.array(1.5)}, weight, wanted


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("order", ["old", "new"])
def test_general_lora(shape, order):
    parts, weight, wanted = glora(shape, order)
    assert np.allclose(delta("glora", parts, weight), wanted, **CLOSE)


def test_general_lora_with_a_core():
    parts, weight, wanted = glora(THREE, "new", core=True)
    assert np.allclose(delta("glora", parts, weight), wanted, **CLOSE)


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
def test_a_difference_is_added_as_it_is(shape):
    difference, bias = values(1, *shape), values(2, 8)
    parts = {"diff": difference, "diff_b": bias, "alpha": np.array(0.5)}
    change, _ = made("diff", parts, values(3, *shape))
    assert np.array_equal(delta("diff", parts, values(3, *shape)), difference)
    assert np.array_equal(change.bias(None).numpy(), bias) and not change.needs_weight


def test_a_weight_that_is_set_replaces():
    weight, goal = values(1, *THREE), values(2, *THREE)
    found = weight + delta("diff", {"set": goal}, weight)
    assert np.allclose(found, goal, **CLOSE)


def test_a_norm_and_its_bias():
    parts = {"w": values(1, 8), "b": values(2, 8)}
    change, rows = made("norm", parts, values(3, 8))
    assert np.array_equal(change.rows(2, 5, None).numpy(), parts["w"][2:5, None])
    assert np.array_equal(change.bias(None).numpy(), parts["b"])
    only, _ = made("norm", {"b": parts["b"]}, values(3, 8))
    assert not only.rows(0, 8, None).any() and rows.shape == (8, 1)


def test_a_difference_of_a_bias_may_come_alone():
    change, _ = made("diff", {"diff_b": values(1, 8)}, values(2, *ONE))
    assert not change.rows(0, 8, None).any() and change.bias(None).shape == (8,)
    assert made("diff", {"diff": values(1, *LINEAR)}, values(2, *LINEAR))[0].bias(None) is None
