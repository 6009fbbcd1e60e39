"""Slerp, perpendicular and extract: what they promise about norms and angles."""

import numpy as np
import pytest
from applying import result


def two(size: int = 900, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    a = random.normal(size=size)
    return a.astype(np.float32), (a + apart * random.normal(size=size)).astype(np.float32)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8])
def test_slerp_keeps_the_norm_and_shares_the_angle(alpha: float) -> None:
    a, b = two()
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    found = result("slerp", a, b, alpha=alpha).astype(np.float64)
    assert np.isclose(np.linalg.norm(found), np.linalg.norm(a.astype(np.float64)), rtol=1e-6)

    def angle(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.arccos(x @ y / np.linalg.norm(x) / np.linalg.norm(y)))

    assert np.isclose(angle(found, a), alpha * angle(a.astype(np.float64), b), rtol=1e-4)


def test_slerp_of_near_relatives_is_a_weighted_sum() -> None:
    a, b = two(apart=0.001)
    np.testing.assert_allclose(result("slerp", a, b, alpha=0.4), result("weighted-sum", a, b, alpha=0.4), atol=1e-6)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 2.0])
def test_slerp_along_a_line_is_a_weighted_sum(factor: float) -> None:
    a, _ = two()
    b = np.float32(factor) * a
    np.testing.assert_allclose(result("slerp", a, b, alpha=0.3), 0.7 * a + 0.3 * b, atol=1e-5)


def test_slerp_of_a_length_that_is_next_to_nothing_is_a_weighted_sum() -> None:
    a, b = np.float32([1e-45, 0, 0]), np.float32([0, 1e12, 3])
    for one, two in ((a, b), (b, a)):
        np.testing.assert_allclose(result("slerp", one, two, alpha=0.25), 0.75 * one + 0.25 * two, rtol=1e-6)


def test_perpendicular_adds_at_right_angles() -> None:
    a, b = two()
    c = two(apart=0.2)[1]
    added = result("perpendicular", a, b, c, alpha=1.0).astype(np.float64) - a
    assert abs(added @ (a.astype(np.float64) - c)) < 1e-3
    np.testing.assert_array_equal(
        result("perpendicular", c, b, c, alpha=0.7), result("add-difference", c, b, c, alpha=0.7)
    )


@pytest.mark.parametrize("little", [1e-45, -1e-38])
def test_perpendicular_to_next_to_nothing_is_all_of_it(little: float) -> None:
    """The quotient of the two lengths is more than fp32 holds."""
    a, b, c = np.float32([0, 0]), np.float32([1e12, 3]), np.float32([little, 0])
    np.testing.assert_array_equal(
        result("perpendicular", a, b, c, alpha=0.5), result("add-difference", a, b, c, alpha=0.5)
    )


def test_extract_of_similar_and_dissimilar_are_what_lies_between() -> None:
    a, b = (x.reshape(30, 30) for x in two())
    c = (a + np.random.default_rng(8).normal(size=a.shape)).astype(np.float32)
    alike, unlike = (result("extract", a, b, c, alpha=0.5, beta=beta).astype(np.float64) - a for beta in (0.0, 1.0))
    np.testing.assert_allclose(alike + unlike, (b - a) / 2 + (c - a) / 2, atol=1e-5)
    same = result("extract", a, b, b, alpha=0.5, beta=0.0)
    np.testing.assert_allclose(same, b, atol=1e-5)
    opposite = result("extract", a, b, 2 * a - b, alpha=0.0, beta=0.0)
    np.testing.assert_allclose(opposite, a, atol=1e-3)
