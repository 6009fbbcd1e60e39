"""Truncated ranks and rotations: matrices with known answers."""

import numpy as np
import pytest
import torch
from applying import result

from modelhub.merge.methods.ranks import _part_way
from modelhub.merge.registry import find_method


def matrices(rows: int, columns: int, seed: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, columns)).astype(np.float32), random.normal(size=(rows, columns)).astype(
        np.float32
    )


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (6, 4, 3, 3)])
def test_a_difference_of_that_rank_is_kept(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    base = random.normal(size=shape)
    low = (random.normal(size=(shape[0], 2)) @ random.normal(size=(2, int(np.prod(shape[1:]))))).reshape(shape)
    model = np.float32(base + low)
    np.testing.assert_allclose(result("truncate-rank", np.float32(base), model, rank=2), model, atol=1e-5)
    once = result("truncate-rank", np.float32(base), model, rank=1) - np.float32(base)
    assert np.linalg.matrix_rank(once.reshape(shape[0], -1), tol=1e-4) == 1


def turn(size: int, seed: int = 3) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else q[:, [1, 0, *range(2, size)]]


def test_a_rotation_is_found_again() -> None:
    a, _ = matrices(80, 6)
    q = turn(6)
    b = np.float32((a - a.mean(0)) @ q + 1)
    np.testing.assert_allclose(result("rotate", a, b, alignment=1.0), b, atol=1e-4)
    np.testing.assert_allclose(result("rotate", a, b, alignment=0.0, alpha=1.0), a, atol=1e-4)


def test_half_way_twice_is_the_whole_way() -> None:
    for size in (2, 3, 8, 41):
        q = torch.from_numpy(turn(size))
        half = _part_way(q, 0.5)
        torch.testing.assert_close(half @ half, q, rtol=0, atol=1e-9)
        torch.testing.assert_close(half @ half.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-9)
    assert torch.allclose(_part_way(torch.eye(5, dtype=torch.float64), 0.3), torch.eye(5, dtype=torch.float64))


def test_a_turned_model_keeps_how_its_rows_lie_to_each_other() -> None:
    for rows, columns in ((50, 9), (7, 40)):
        a, b = matrices(rows, columns)
        for alignment in (0.4, 1.0):
            found = result("rotate", a, b, alignment=alignment)
            before, after = (x - x.mean(0) for x in (a, found))
            np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-3)


def test_a_wide_matrix_is_turned_as_the_whole_one_would_be() -> None:
    a, b = (x.astype(np.float64) for x in matrices(5, 30))
    x, y = a - a.mean(0), b - b.mean(0)
    u, _, v = np.linalg.svd(x.T @ y)
    np.testing.assert_allclose(result("rotate", a, b, alignment=1.0), x @ u @ v + b.mean(0), atol=1e-8)


@pytest.mark.parametrize("shape", [(5, 30), (20, 30), (30, 30)])
def test_a_part_of_the_way_does_not_depend_on_the_order_of_columns(shape: tuple[int, int]) -> None:
    a, b = (x.astype(np.float64) for x in matrices(*shape))
    order = np.random.default_rng(4).permutation(shape[1])
    found = result("rotate", a, b, alignment=0.5)
    np.testing.assert_allclose(result("rotate", a[:, order], b[:, order], alignment=0.5), found[:, order], atol=1e-7)


def test_a_vector_is_one_row() -> None:
    a, b = matrices(2, 500)[0]
    np.testing.assert_allclose(result("rotate", a, b, alignment=0.25), 0.75 * a + 0.25 * b, atol=1e-6)


def test_a_rotation_of_numbers_near_the_largest() -> None:
    a, b = (torch.randn(12, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (1, 2))
    found = find_method("rotate").function(a * 1e200, b * 1e200, alignment=1.0, alpha=0.0) / 1e200
    torch.testing.assert_close(found, find_method("rotate").function(a, b, alignment=1.0, alpha=0.0))
