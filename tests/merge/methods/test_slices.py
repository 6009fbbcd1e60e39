"""Rows and frequencies of two models."""

import numpy as np
import pytest
from applying import result


def test_rows_of_b_stand_in_a_and_wrap() -> None:
    a, b = np.zeros((10, 3), np.float32), np.ones((10, 3), np.float32)
    assert result("tensor-sum", a, b, alpha=0.3, beta=0.2)[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert result("tensor-sum", a, b, alpha=0.5, beta=0.7)[:, 1].tolist() == [1, 1, 0, 0, 0, 0, 0, 1, 1, 1]
    assert result("tensor-sum", a, b, alpha=0.7, beta=0.1)[:, 2].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0, 0]


def test_nothing_is_computed_with_the_rows() -> None:
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(400, 7)).astype(np.float32) for _ in range(2))
    a[3], b[200] = np.nan, np.inf
    found = result("tensor-sum", a, b, alpha=0.25, beta=0.5)
    np.testing.assert_array_equal(found, np.concatenate([a[:200], b[200:300], a[300:]]))


def waves(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(size) / size * 2 * np.pi
    return np.float32(np.sin(3 * at)), np.float32(np.sin(29 * at))


def test_low_frequencies_are_a_and_high_ones_b() -> None:
    low, high = waves()
    found = result("crossover", low, high, alpha=0.5, tilt=0.0)
    np.testing.assert_allclose(found, low + high, atol=1e-5)
    np.testing.assert_allclose(result("crossover", high, low, alpha=0.5, tilt=0.0), 0, atol=1e-5)


@pytest.mark.parametrize("tilt", [0.0, 0.2, 0.7, 1.0])
def test_the_share_of_b_grows_with_alpha(tilt: float) -> None:
    random = np.random.default_rng(1)
    a, b = (random.normal(size=(12, 15)).astype(np.float32) for _ in range(2))
    distances = [np.linalg.norm(result("crossover", a, b, alpha=x, tilt=tilt) - b) for x in (0.05, 0.3, 0.6, 0.95)]
    assert distances == sorted(distances, reverse=True)
    np.testing.assert_allclose(result("crossover", a, b, alpha=0.3, tilt=0.999999), 0.7 * a + 0.3 * b, atol=1e-5)
