"""LoHa and LoKr, elementwise and Kronecker products, against their formulas in fp64."""

from __future__ import annotations

import numpy as np
import pytest
from algorithms_helper import CLOSE, LAYERS, LINEAR, THREE, delta, values


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
def test_the_product_of_two_products(shape):
    flat = int(np.prod(shape[1:]))
    one, two = (values(1, 8, 3), values(2, 3, flat)), (values(3, 8, 3), values(4, 3, flat))
    parts = {"w1_a": one[0], "w1_b": one[1], "w2_a": two[0], "w2_b": two[1], "alpha": np.array(1.5)}
    wanted = 0.5 * ((one[0] @ one[1]) * (two[0] @ two[1])).reshape(shape)
    assert np.allclose(delta("loha", parts, values(5, *shape)), wanted, **CLOSE)


def test_the_product_of_two_tucker_forms():
    parts = {f"t{side}": values(side, 3, 3, 3, 3) for side in (1, 2)}
    parts |= {f"w{side}_a": values(side + 2, 3, 8) for side in (1, 2)}
    parts |= {f"w{side}_b": values(side + 4, 3, 12) for side in (1, 2)}
    one, two = (
        np.einsum("ijkl,jr,ip->prkl", parts[f"t{side}"], parts[f"w{side}_b"], parts[f"w{side}_a"]) for side in (1, 2)
    )
    assert np.allclose(delta("loha", {**parts, "alpha": np.array(6.0)}, values(7, *THREE)), 2 * one * two, **CLOSE)


def kron(small, large):
    """out[a · o2 + c, b · i2 + d] = small[a, b] · large[c, d], at each place of the kernel."""
    (o1, i1), (o2, i2, *kernel) = small.shape, large.shape
    found = np.zeros((o1 * o2, i1 * i2, *kernel))
    for a in range(o1):
        for b in range(i1):
            found[a * o2 : (a + 1) * o2, b * i2 : (b + 1) * i2] = small[a, b] * large
    return found


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("small", ["whole", "product"])
@pytest.mark.parametrize("large", ["whole", "product", "product with a kernel"])
def test_the_kronecker_product(shape, small, large):
    kernel, rank, parts = shape[2:], 1, {"alpha": np.array(0.25)}
    if small == "whole":
        parts["w1"] = one = values(1, 2, 3)
    else:
        parts |= {"w1_a": values(1, 2, rank), "w1_b": values(2, rank, 3)}
        one = parts["w1_a"] @ parts["w1_b"]
    if large == "whole":
        parts["w2"] = two = values(3, 4, 4, *kernel)
    else:
        parts |= {"w2_a": values(3, 4, rank), "w2_b": values(4, rank, 4, *kernel)}
        two = np.einsum("or,ri...->oi...", parts["w2_a"], parts["w2_b"])
        if large == "product":
            parts["w2_b"] = parts["w2_b"].reshape(rank, -1)
    scale = 1.0 if small == large == "whole" else 0.25
    assert np.allclose(delta("lokr", parts, values(5, *shape)), scale * kron(one, two), **CLOSE)


def test_the_kronecker_product_with_a_tucker_form():
    core, left, right = values(1, 2, 2, 3, 3), values(2, 2, 4), values(3, 2, 4)
    parts = {"w1": values(4, 2, 3), "t2": core, "w2_a": left, "w2_b": right, "alpha": np.array(3.0)}
    wanted = 1.5 * kron(parts["w1"], np.einsum("ijkl,jr,ip->prkl", core, right, left))
    assert np.allclose(delta("lokr", parts, values(5, *THREE)), wanted, **CLOSE)


def test_the_rank_is_that_of_the_small_factor_where_both_are_products():
    parts = {"w1_a": values(1, 2, 2), "w1_b": values(2, 2, 3), "w2_a": values(3, 4, 4), "w2_b": values(4, 4, 4)}
    wanted = 0.5 * np.kron(parts["w1_a"] @ parts["w1_b"], parts["w2_a"] @ parts["w2_b"])
    assert np.allclose(delta("lokr", {**parts, "alpha": np.array(1.0)}, values(5, *LINEAR)), wanted, **CLOSE)
