"""Model stock and the geometric median: what their weights mean."""

import numpy as np
import pytest
import torch
from applying import result

from modelhub.merge.methods.middles import median_weights


def points(count: int, size: int = 50) -> list[np.ndarray]:
    random = np.random.default_rng(9)
    return [random.normal(size=size).astype(np.float32) for _ in range(count)]


def test_the_median_is_where_the_distances_sum_to_least() -> None:
    given = points(6)
    found = result("geometric-median", *given, iterations=1000).astype(np.float64)

    def total(x: np.ndarray) -> float:
        return sum(float(np.linalg.norm(x - y.astype(np.float64))) for y in given)

    random = np.random.default_rng(0)
    assert all(total(found) <= total(found + 0.05 * random.normal(size=50)) for _ in range(50))
    assert total(found) < total(np.mean(given, axis=0)) + 1e-9


def test_one_odd_model_does_not_draw_the_median_away() -> None:
    near = [np.float32(x / 1000) for x in points(5)]
    found = result("geometric-median", *near, points(1)[0] * np.float32(1000), iterations=1000)
    assert np.abs(found).max() < 0.01


def test_a_model_that_is_the_median_is_taken_as_it_is() -> None:
    x, y = points(2)
    np.testing.assert_array_equal(result("geometric-median", x, y, x, x), x)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.05], [-1.0, 0.05]], dtype=torch.float64)
    assert median_weights(corners @ corners.T, 100) == (1.0, 0.0, 0.0)


def test_model_stock_goes_from_the_base_to_the_mean() -> None:
    base, x, y = points(3)
    np.testing.assert_allclose(result("model-stock", base, x, x), x, atol=1e-6)
    orthogonal = [np.float32([1, 0, 0]), np.float32([0, 1, 0])]
    np.testing.assert_array_equal(result("model-stock", np.zeros(3, np.float32), *orthogonal), np.zeros(3))
    np.testing.assert_array_equal(result("model-stock", base, x, 2 * base - x), base)
    assert not np.allclose(result("model-stock", base, x, y), base)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_models_are_not_accepted(count: int) -> None:
    from modelhub.merge.registry import find_method

    assert not find_method("model-stock").accepts(count)
    assert find_method("geometric-median").accepts(2)


def test_a_tensor_that_is_not_finite_does_not_become_the_base_in_silence() -> None:
    base, *models = points(4)
    models[1][7], models[2][9] = np.nan, np.inf
    found = result("model-stock", base, *models)
    assert np.flatnonzero(~np.isfinite(found)).tolist() == [7, 9], "where the engine counts and tells it"
