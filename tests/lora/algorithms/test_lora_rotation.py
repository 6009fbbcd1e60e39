"""OFT and BOFT against their formulas in fp64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from algorithms_helper import CLOSE, LAYERS, LINEAR, delta, step, values
from hypothesis import given
from hypothesis import strategies as st

from modelhub.lora.algorithms.cayley import above, turned


def cayley(skew):
    one = np.eye(skew.shape[-1])
    return (one + skew) @ np.linalg.inv(one - skew)


def skews(blocks):
    return blocks - np.swapaxes(blocks, -1, -2)


def diagonal(blocks):
    """The blocks along the diagonal of a matrix."""
    side = blocks.shape[-1]
    found = np.zeros((len(blocks) * side,) * 2)
    for index, block in enumerate(blocks):
        found[index * side : (index + 1) * side, index * side : (index + 1) * side] = block
    return found


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("rescale", [False, True])
def test_rows_are_rotated(shape, rescale):
    blocks, weight, scale = values(1, 4, 2, 2), values(2, *shape), 1 + values(3, 8, 1)
    rotated = (diagonal(cayley(skews(blocks))).T @ weight.reshape(8, -1)) * (scale if rescale else 1)
    parts = {"blocks": blocks, "alpha": np.array(0.0)} | ({"rescale": scale} if rescale else {})
    assert np.allclose(delta("oft", parts, weight), (rotated - weight.reshape(8, -1)).reshape(shape), **CLOSE)
    assert step("oft", parts, shape) == 2


def test_alpha_limits_the_norm_of_all_blocks_together():
    blocks, weight = values(1, 2, 4, 4), values(2, *LINEAR)
    skew = skews(blocks)
    limit = 0.05 * 8
    assert np.linalg.norm(skew) > limit
    wanted = diagonal(cayley(skew * limit / np.linalg.norm(skew))).T @ weight - weight
    assert np.allclose(delta("oft", {"blocks": blocks, "alpha": np.array(0.05)}, weight), wanted, **CLOSE)
    far = {"blocks": blocks, "alpha": np.array(100.0)}
    assert np.array_equal(delta("oft", far, weight), delta("oft", {"blocks": blocks}, weight))


def test_rotations_keep_the_norms_of_columns_and_little_ones_their_digits():
    blocks, weight = 1e-6 * values(1, 2, 4, 4), values(2, *LINEAR)
    small = delta("oft", {"blocks": blocks}, weight)
    wanted = 2 * diagonal(skews(blocks)).T @ weight
    assert np.allclose(small, wanted, rtol=1e-4, atol=1e-10), "of first order in the blocks, not lost beside 1"
    turn = weight + delta("oft", {"blocks": values(1, 2, 4, 4)}, weight)
    assert np.allclose(np.linalg.norm(turn, axis=0), np.linalg.norm(weight, axis=0), **CLOSE)


@pytest.mark.parametrize("less_one", [False, True])
def test_old_files_have_the_rotation_itself_or_what_it_adds(less_one):
    turns, weight = cayley(0.1 * skews(values(1, 2, 4, 4))), values(2, *LINEAR)
    parts = {"diag": turns - (np.eye(4) if less_one else 0)}
    assert np.allclose(delta("oft", parts, weight), diagonal(turns).T @ weight - weight, **CLOSE)
    assert step("oft", parts, LINEAR) == 4


def unrolled(skew, powers):
    """1 + 2 Q + 2 Q² + … + Qⁿ, the last power once."""
    found = np.eye(skew.shape[-1]) + np.zeros_like(skew)
    power = np.eye(skew.shape[-1])
    for number in range(1, powers + 1):
        power = power @ skew
        found = found + power * (1 if number == powers and powers > 1 else 2)
    return found


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("shared", [False, True])
def test_columns_are_rotated_by_the_series_of_peft(shape, shared):
    columns = int(np.prod(shape[1:]))
    vectors, weight = 0.2 * values(1, 1 if shared else columns // 4, 6), values(2, *shape)
    skew = above(torch.from_numpy(vectors)).numpy()
    assert np.array_equal(skew[0, 0, 1:], vectors[0, :3]) and np.array_equal(skew, -np.swapaxes(skew, 1, 2))
    turns = unrolled(skew, 4)
    whole = diagonal(np.concatenate([turns] * (columns // 4)) if shared else turns)
    flat = weight.reshape(8, -1)
    assert np.allclose(delta("oft", {"skew": vectors}, weight), (flat @ whole.T - flat).reshape(shape), **CLOSE)
    assert step("oft", {"skew": vectors}, shape) == 1


def test_without_the_series_peft_turns_the_other_way():
    vectors, weight = values(1, 3, 6), values(2, *LINEAR)
    whole = diagonal(cayley(-above(torch.from_numpy(vectors)).numpy()))
    found = delta("oft", {"skew": vectors}, weight, {"use_cayley_neumann": False})
    assert np.allclose(found, weight @ whole.T - weight, **CLOSE)


def lycoris_stage(blocks, half):
    """The matrix of a stage: row j of a run of two halves takes place 2 t + g for half g and row t of it."""
    side, size = blocks.shape[-1], len(blocks) * blocks.shape[-1]
    place = np.array([j - j % (2 * half) + 2 * (j % half) + (j // half) % 2 for j in range(size)])
    order = np.zeros((size, size))
    order[place, np.arange(size)] = 1
    assert np.array_equal(order @ order.T, np.eye(size)) and side % 2 == 0
    return order.T @ diagonal(blocks) @ order


@pytest.mark.parametrize("shape", [(16, 6), (16, 3, 2, 2)])
@pytest.mark.parametrize(("stages", "side"), [(1, 2), (2, 4), (3, 4), (4, 2)])
def test_rows_are_rotated_in_stages(shape, stages, side):
    blocks, weight = values(1, stages, 16 // side, side, side), values(2, *shape)
    scale = 1 + values(3, 16, 1, 1, 1)
    now = weight.reshape(16, -1)
    for stage in range(stages):
        now = lycoris_stage(cayley(skews(blocks))[stage], (side // 2) << stage) @ now
    parts = {"blocks": blocks, "rescale": scale}
    wanted = (now * scale[:, :, 0, 0]).reshape(shape) - weight
    assert np.allclose(delta("oft", parts, weight), wanted, **CLOSE)
    assert step("oft", parts, shape) == side << (stages - 1)


@pytest.mark.parametrize(("stages", "side"), [(1, 3), (1, 4), (2, 4), (3, 2), (3, 4)])
def test_columns_are_rotated_in_stages_as_peft_orders_them(stages, side):
    """PEFT needs a kernel of CUDA for more than one stage; its order of columns is asked of it all the same."""
    peft = pytest.importorskip("peft.tuners.boft.layer").BOFTLayer
    columns = side * 4
    wings, weight, stretch = values(1, stages, 4, side, side), values(2, 6, columns), 1 + values(3, 6, 1)
    whole = np.eye(columns)
    for stage in range(stages):
        order = np.eye(columns)[list(_order(peft, columns, 4 >> stage, side // 2, stages - 1))]
        block = np.array([cayley(-(one - one.T) / 2) for one in wings[stage]])
        whole = order @ diagonal(block) @ order.T @ whole
    found = delta("oft", {"butterfly": wings, "stretch": stretch}, weight)
    assert np.allclose(found, (weight @ whole.T) * stretch - weight, **CLOSE)


def _order(peft, columns, blocks, half, factor):
    return peft.block_butterfly_perm(None, columns, blocks, half, factor).tolist()


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_what_a_turn_adds_makes_a_rotation(side, seed):
    skew = torch.from_numpy(skews(np.random.default_rng(seed).normal(0, 3, (2, side, side))))
    turn = turned(skew) + torch.eye(side, dtype=torch.float64)
    assert torch.allclose(turn @ turn.mT, torch.eye(side, dtype=torch.float64).expand(2, side, side), atol=1e-9)
