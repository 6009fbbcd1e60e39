"""Clamp: bounds that are other models."""

import numpy as np
from applying import result


def test_bounds_hold_and_what_is_inside_stays() -> None:
    random = np.random.default_rng(4)
    x, a, b, c = (random.normal(size=500).astype(np.float32) for _ in range(4))
    found = result("clamp", x, a, b, c)
    low, high = np.min([a, b, c], axis=0), np.max([a, b, c], axis=0)
    inside = (x >= low) & (x <= high)
    assert 0 < inside.sum() < 500
    np.testing.assert_array_equal(found[inside], x[inside])
    np.testing.assert_array_equal(found[~inside], np.where(x < low, low, high)[~inside])


def test_stiff_bounds_meet_at_their_mean() -> None:
    random = np.random.default_rng(4)
    x, a, b = (random.normal(size=500).astype(np.float32) for _ in range(3))
    np.testing.assert_allclose(result("clamp", x, a, b, stiffness=1.0), (a + b) / 2, atol=1e-6)
