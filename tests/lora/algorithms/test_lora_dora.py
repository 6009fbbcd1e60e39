"""DoRA around every algorithm that it goes with, on either side, against its formula in fp64."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from algorithms_helper import CLOSE, LAYERS, LINEAR, THREE, delta, made, values, window

import modelhub.lora.algorithms.dora as dora
from modelhub.errors import IncompatibleError


def inner(algorithm, shape):
    flat, ones = int(np.prod(shape[1:])), [1] * (len(shape) - 2)
    return {
        "lora": {"a": values(1, 2, *shape[1:]), "b": values(2, 8, 2, *ones), "alpha": np.array(1.0)},
        "loha": {
            "w1_a": values(1, 8, 2), "w1_b": values(2, 2, flat), "w2_a": values(3, 8, 2), "w2_b": values(4, 2, flat),
        },
        "lokr": {"w1": values(1, 2, 3), "w2": values(2, 4, 4, *shape[2:])},
        "glora": {
            "a1": values(1, 12, 2, *ones), "a2": values(2, 2, 12, *ones),
            "b1": values(3, 8, 2, *ones), "b2": values(4, 2, *shape[1:]),
        },
        "diff": {"diff": values(1, *shape)},
    }[algorithm]  # fmt: skip


def decomposed(weight, added, norms, side):
    """V d / ‖V‖ for V = W + ΔW."""
    changed = weight + added
    axes = tuple(one for one in range(changed.ndim) if one != (0 if side == "out" else 1))
    length = np.sqrt((changed**2).sum(axis=axes, keepdims=True))
    return changed * norms.reshape(length.shape) / length


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "glora", "diff"])
@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("side", ["out", "in"])
def test_norms_of_rows_and_of_columns(algorithm, shape, side):
    ones = [1] * (len(shape) - 2)
    norms = 0.5 + np.abs(values(5, *((8, 1) if side == "out" else (1, 12)), *ones))
    parts, weight = inner(algorithm, shape), values(6, *shape)
    wanted = decomposed(weight, delta(algorithm, parts, weight), norms, side) - weight
    assert np.allclose(delta(algorithm, {**parts, "dora": norms}, weight), wanted, **CLOSE)


@pytest.mark.parametrize("lying", [(8,), (1, 8, 1, 1)])
def test_magnitudes_of_peft_are_those_of_outputs(lying):
    """That [1, n, 1, 1] is not one for each input, though it has the shape of it."""
    norms, parts, weight = 0.5 + np.abs(values(5, *lying)), inner("diff", (8, 8, 3, 3)), values(6, 8, 8, 3, 3)
    wanted = decomposed(weight, parts["diff"], norms, "out") - weight
    assert np.allclose(delta("diff", {**parts, "magnitude": norms}, weight), wanted, **CLOSE)


def test_magnitudes_of_an_embedding_are_those_of_its_columns():
    parts = {"embedding_a": values(1, 2, 20), "embedding_b": values(2, 6, 2)}
    norms, weight = 0.5 + np.abs(values(3, 6)), values(4, 20, 6)
    wanted = decomposed(weight, (parts["embedding_b"] @ parts["embedding_a"]).T, norms, "in") - weight
    assert np.allclose(delta("lora", {**parts, "magnitude": norms}, weight), wanted, **CLOSE)


@pytest.mark.parametrize("side", ["out", "in"])
def test_where_nothing_changes_nothing_is_added(side):
    weight = values(1, *LINEAR)
    exact = torch.from_numpy(weight)
    norms = exact.norm(dim=1, keepdim=True) if side == "out" else exact.norm(dim=0, keepdim=True)
    parts = {"a": np.zeros((2, 12)), "b": values(2, 8, 2), "dora": norms.numpy()}
    assert np.abs(delta("lora", parts, weight)).max() < 2e-7


@pytest.mark.parametrize("side", ["out", "in"])
def test_rows_and_columns_of_zeros_stay_zero(side):
    weight = values(1, *LINEAR)
    weight[3], weight[:, 5] = 0, 0
    parts = {"diff": np.zeros(LINEAR), "dora": np.ones((8, 1) if side == "out" else (1, 12))}
    found = weight + delta("diff", parts, weight)
    assert np.isfinite(found).all() and not found[3].any() and not found[:, 5].any()


def test_columns_are_read_once_in_windows_whoever_asks_first(monkeypatch):
    monkeypatch.setattr(dora, "_WINDOW", 3 * 12 * 9)
    norms = 0.5 + np.abs(values(5, 1, 12, 1, 1))
    parts, weight = {**inner("lora", THREE), "dora": norms}, values(6, *THREE)
    change, rows = made("lora", parts, weight)
    start = Barrier(4)

    def ask(low: int) -> torch.Tensor:
        start.wait()
        return window(change, rows, low, low + 2)

    with ThreadPoolExecutor(4) as pool:
        found = torch.cat(list(pool.map(ask, (0, 2, 4, 6))))
    assert rows.reads == [(0, 3), (3, 6), (6, 8)]
    wanted = decomposed(weight, delta("lora", inner("lora", THREE), weight), norms, "in") - weight
    assert np.allclose(found.numpy().reshape(THREE), wanted, **CLOSE)


def test_the_bias_is_that_of_the_algorithm_within():
    parts = {**inner("lora", LINEAR), "bias": values(3, 8), "dora": np.ones((8, 1))}
    change, _ = made("lora", parts, values(6, *LINEAR))
    assert np.allclose(change.bias(None).numpy(), 0.5 * values(3, 8), **CLOSE)


def test_rotations_have_no_norms():
    with pytest.raises(IncompatibleError, match="norms of DoRA"):
        made("oft", {"blocks": values(1, 2, 4, 4), "dora": np.ones((8, 1))}, values(2, *LINEAR))
