"""Cosine A and B look at the whole model first."""

import numpy as np
import pytest
from applying import result
from formulas import ORACLES


def model(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    found = {}
    for i, shape in enumerate([(40, 30), (30,), (8, 6, 3, 3), (50, 20), (3, 0), ()]):
        a = random.normal(size=shape)
        b = a + (0.2 + 0.3 * i) * random.normal(size=shape)
        found[f"t{i}"] = (np.float32(a), np.float32(b))
    found["zeros"] = (np.zeros(9, np.float32), np.zeros(9, np.float32))
    return found


@pytest.mark.parametrize("name", ["cosine-a", "cosine-b"])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@np.errstate(all="ignore")
def test_similarities_are_measured_against_those_of_all_tensors(name: str, alpha: float) -> None:
    tensors = model(4)
    for key, (a, b) in tensors.items():
        others = {other: pair for other, pair in tensors.items() if other != key}
        wide = tuple((np.float64(x), np.float64(y)) for x, y in others.values() if x.size)
        wanted = ORACLES[name](np.float64(a), np.float64(b), alpha, wide)
        found = result(name, a, b, others=others, alpha=alpha)
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=key)
    alone = result(name, *tensors["t0"], alpha=alpha)
    together = result(name, *tensors["t0"], others={k: v for k, v in tensors.items() if k != "t0"}, alpha=alpha)
    assert not np.allclose(alone, together)


@pytest.mark.parametrize("name", ["cosine-a", "cosine-b"])
def test_with_a_large_alpha_it_is_b(name: str) -> None:
    a, b = model(4)["t0"]
    np.testing.assert_array_equal(result(name, a, b, alpha=9.0), b)
