"""Differences: what they add where the models agree, and where they do not."""

import numpy as np
import pytest
from applying import result


def three(size: int = 400) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [random.normal(size=size).astype(np.float32) for _ in range(3)]


def test_a_difference_made_and_added_is_add_difference() -> None:
    a, b, c = three()
    delta = result("subtract", b, c)
    in_one = result("add-difference", a, b, c, alpha=0.4)
    np.testing.assert_allclose(result("add", a, delta, alpha=0.4), in_one, atol=1e-6)


@pytest.mark.parametrize("name", ["train-difference", "add-opposite", "add-difference-clamped"])
def test_what_a_has_learned_already_is_not_added_again(name: str) -> None:
    _, b, c = three()
    np.testing.assert_allclose(result(name, b, b, c, alpha=1.0), b, atol=1e-6)


def test_a_clamped_difference_is_between_a_and_b() -> None:
    a, b, c = three()
    found = result("add-difference-clamped", a, b, c, alpha=1.5)
    assert (found >= np.minimum(a, b)).all() and (found <= np.maximum(a, b)).all()
    plain = result("add-difference", a, b, c, alpha=1.5)
    np.testing.assert_array_equal(found, result("clamp", plain, a, b))


def test_train_difference_is_strongest_where_a_was_not_trained() -> None:
    _, b, c = three()
    np.testing.assert_allclose(result("train-difference", c, b, c, alpha=1.0), c + 0.9 * (b - c), atol=1e-5)


def test_the_ends_of_multiply_difference_are_whole_differences() -> None:
    a, b, c = three()
    found = result("multiply-difference", a, b, c, alpha=0.0, beta=1.0)
    np.testing.assert_allclose(found, c + np.copysign(np.abs(a - c), b - c), atol=1e-5)
    np.testing.assert_array_equal(result("multiply-difference", a, c, c, alpha=0.5, beta=0.0), c)
    below_0 = result("multiply-difference", a, c, c, alpha=-0.5, beta=0.0)
    np.testing.assert_array_equal(below_0, c)
