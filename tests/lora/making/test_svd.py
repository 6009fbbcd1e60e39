"""svd: against numpy's decomposition in float64, and the least error that a rank allows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making_helper import decaying

from modelhub.lora.making.svd import Decomposed, energy, of_matrix, of_product, seed_of


def back(found: Decomposed) -> np.ndarray:
    return ((found.left.double() * found.values) @ found.right.double()).numpy()


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), rank=st.integers(1, 50), seed=st.integers(0, 99),
    size=st.sampled_from([1e-12, 1.0, 1e9]),
)  # fmt: skip
def test_the_core_has_the_singular_values_of_the_product(
    rows: int, columns: int, rank: int, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((rows, rank)) * size, rng.standard_normal((rank, columns))
    product = up.astype(np.float32).astype(np.float64) @ down.astype(np.float32).astype(np.float64)
    expected = np.linalg.svd(product, compute_uv=False)
    found = of_product(tensor(up), tensor(down))
    count = min(rows, columns, rank)
    assert (
        found.values.shape == (count,) and found.left.shape == (rows, count) and found.right.shape == (count, columns)
    )
    norm = np.linalg.norm(product)
    assert np.abs(found.values.numpy() - expected[:count]).max() <= 3e-6 * norm
    assert np.linalg.norm(back(found) - product) <= 5e-6 * norm
    assert found.energy == pytest.approx(norm**2, rel=1e-5)


def test_a_product_of_zeros_has_singular_values_of_zero() -> None:
    found = of_product(torch.zeros(6, 3), torch.randn(3, 5, generator=torch.Generator().manual_seed(1)))
    assert found.energy == 0 and not found.values.any() and torch.isfinite(found.left).all()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("rows", "columns"), [(300, 200), (200, 300)])
def test_random_projection_is_within_a_percent_of_the_least_error(rows: int, columns: int, power: float) -> None:
    matrix, values = decaying(rows, columns, power, 3)
    found = of_matrix(tensor(matrix), 24, seed_of("layer"))
    least = np.sqrt((values[24:] ** 2).sum())
    assert found.values.shape == (24,)
    assert np.linalg.norm(matrix - back(found)) <= 1.01 * least
    assert found.energy == pytest.approx((values**2).sum(), rel=1e-5), "that of the matrix, not of what was found"
    assert (found.values.numpy() <= values[:24] * (1 + 1e-5)).all(), "a projection never has more"
    kept = float(found.values.square().sum())
    assert 1 - kept / found.energy == pytest.approx(
        (np.linalg.norm(matrix - back(found)) ** 2) / found.energy, abs=1e-5
    )


def test_a_matrix_of_low_rank_is_found_whole() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((150, 5)) @ rng.standard_normal((5, 120))
    found = of_matrix(tensor(matrix), 8, 1)
    assert np.linalg.norm(matrix - back(found)) <= 1e-5 * np.linalg.norm(matrix)


@pytest.mark.parametrize("rank", [1, 20, 30])
def test_exact_where_asked_for_or_nothing_is_gained(rank: int) -> None:
    matrix, values = decaying(40, 30, 0.3, 5)
    whole = of_matrix(tensor(matrix), rank, 1, whole=True)
    assert np.abs(whole.values.numpy() - values).max() < 1e-5
    found = of_matrix(tensor(matrix), rank, 1)
    assert len(found.values) == rank and np.abs(found.values.numpy() - values[:rank]).max() < (
        1e-2 if rank == 1 else 1e-5
    )


def test_equal_seeds_give_equal_results_and_signs_are_fixed() -> None:
    matrix = tensor(decaying(90, 80, 0.7, 9)[0])
    one, two, other = (of_matrix(matrix, 10, seed) for seed in (7, 7, 8))
    assert torch.equal(one.left, two.left) and torch.equal(one.right, two.right)
    assert torch.allclose(one.left[:, :4], other.left[:, :4], atol=1e-2), (
        "another seed finds the same, not the opposite"
    )
    largest = one.left.gather(0, one.left.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()
    assert seed_of("a") != seed_of("b") and seed_of("\ud800") == seed_of("\ud800")


def test_energy_is_added_in_double_precision() -> None:
    values = np.full(3_000_001, 0.1, np.float32)
    assert energy(torch.from_numpy(values)) == pytest.approx(3_000_001 * float(np.float32(0.1)) ** 2, rel=1e-12)
    assert np.isnan(energy(torch.tensor([1.0, float("nan")])))
