"""Smooth add: specks go, what is smooth stays."""

import numpy as np
from applying import result


def test_a_speck_is_not_added() -> None:
    a, c = (np.zeros((20, 20), np.float32) for _ in range(2))
    b = c.copy()
    b[7, 9] = 100
    np.testing.assert_array_equal(result("smooth-add", a, b, c, alpha=1.0), a)


def test_an_even_difference_is_added_whole() -> None:
    for shape in ((), (1,), (5,), (9, 9), (3, 2, 3, 3)):
        a = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = result("smooth-add", a, a + np.float32(2), a, alpha=0.5)
        np.testing.assert_allclose(found, a + 1, atol=1e-5)


def test_a_step_becomes_a_slope_of_the_normal_distribution() -> None:
    b = np.repeat(np.float32([0, 1]), 20)
    found = result("smooth-add", np.zeros_like(b), b, np.zeros_like(b), alpha=1.0)
    np.testing.assert_allclose(found[19:21], [0.3005, 0.6995], atol=2e-3)
    assert (np.diff(found) >= -1e-6).all() and found[0] == 0 and abs(found[-1] - 1) < 1e-6
