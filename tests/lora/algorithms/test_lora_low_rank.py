"""LoRA and LoCon against their formulas in fp64."""

from __future__ import annotations

import numpy as np
import pytest
from algorithms_helper import CLOSE, LAYERS, LINEAR, THREE, delta, made, values

from modelhub.errors import CorruptFileError


@pytest.mark.parametrize("shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("alpha", "scale"), [(None, 1.0), (2.0, 2 / 3), (0.0, 0.0)])
def test_up_times_down(shape, alpha, scale):
    down, up = values(1, 3, *shape[1:]), values(2, 8, 3, *[1] * (len(shape) - 2))
    parts = {"a": down, "b": up} | ({} if alpha is None else {"alpha": np.array(alpha)})
    wanted = scale * np.einsum("or,ri...->oi...", up.reshape(8, 3), down)
    assert np.allclose(delta("lora", parts, values(3, *shape)), wanted, **CLOSE)


def test_factors_of_a_convolution_fit_a_linear_layer_and_the_other_way_round():
    down, up = values(1, 3, 12), values(2, 8, 3)
    wanted = up @ down
    wide = {"a": down.reshape(3, 12, 1, 1), "b": up.reshape(8, 3, 1, 1)}
    assert np.allclose(delta("lora", wide, values(3, *LINEAR)), wanted, **CLOSE)
    assert np.allclose(delta("lora", {"a": down, "b": up}, values(3, 8, 12, 1, 1))[:, :, 0, 0], wanted, **CLOSE)


def test_the_tucker_form():
    mid, up, down = values(1, 3, 3, 3, 3), values(2, 8, 3), values(3, 3, 12)
    parts = {"mid": mid, "b": up.reshape(8, 3, 1, 1), "a": down.reshape(3, 12, 1, 1), "alpha": np.array(1.5)}
    wanted = 0.5 * np.einsum("mnkl,im,nj->ijkl", mid, up, down)
    assert np.allclose(delta("lora", parts, values(4, *THREE)), wanted, **CLOSE)


def test_a_core_of_three_dimensions():
    """Video models have such kernels."""
    mid, up, down = values(1, 2, 2, 3, 1, 2), values(2, 8, 2), values(3, 2, 12)
    wanted = np.einsum("mnklz,im,nj->ijklz", mid, up, down)
    assert np.allclose(delta("lora", {"mid": mid, "b": up, "a": down}, values(4, 8, 12, 3, 1, 2)), wanted, **CLOSE)


def test_the_scalar_beside_alpha():
    parts = {"a": values(1, 2, 12), "b": values(2, 8, 2), "alpha": np.array(4.0), "scalar": np.array([0.25])}
    assert np.allclose(delta("lora", parts, values(3, *LINEAR)), 0.5 * parts["b"] @ parts["a"], **CLOSE)


def test_an_embedding_has_factors_of_its_transpose():
    parts = {"embedding_a": values(1, 3, 20), "embedding_b": values(2, 6, 3), "alpha": np.array(1.0)}
    wanted = (parts["embedding_b"] @ parts["embedding_a"]).T / 3
    assert np.allclose(delta("lora", parts, values(3, 20, 6)), wanted, **CLOSE)


def test_rank_zero_adds_nothing():
    parts = {"a": np.zeros((0, 12)), "b": np.zeros((8, 0)), "alpha": np.array(1.0)}
    assert not delta("lora", parts, values(3, *LINEAR)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["alpha", "scalar"])
def test_an_alpha_that_is_no_number_is_refused(part, bad):
    parts = {"a": values(1, 2, 12), "b": values(2, 8, 2), part: np.array(bad)}
    with pytest.raises(CorruptFileError, match=f"{part} of some.module is -?(nan|inf)"):
        made("lora", parts, values(3, *LINEAR))


def test_biases_of_the_factors_go_to_the_bias_of_the_layer():
    down, up, inner, outer, whole = values(1, 2, 12), values(2, 8, 2), values(3, 2), values(4, 8), values(5, 8)
    parts = {"a": down, "b": up, "alpha": np.array(1.0), "a_bias": inner, "bias": outer, "diff_b": whole}
    change, _ = made("lora", parts, values(6, *LINEAR))
    x = values(7, 12)
    full = 0.5 * (up @ (down @ x + inner) + outer) + whole - 0.5 * up @ down @ x
    assert np.allclose(change.bias(None).numpy(), full, **CLOSE)
    assert made("lora", {"a": down, "b": up}, values(6, *LINEAR))[0].bias(None) is None


def test_added_where_it_goes_is_what_the_rows_are():
    parts = {"a": values(1, 2, 12), "b": values(2, 8, 2), "alpha": np.array(1.0)}
    change, rows = made("lora", parts, values(6, *LINEAR))
    for kind in (rows.matrix, rows.matrix.double()):
        to = kind[2:7].clone()
        change.add(to, 2, 7, None, -0.75)
        wanted = kind[2:7] - 0.75 * change.rows(2, 7, None)
        assert to.dtype == kind.dtype and np.allclose(to.numpy(), wanted.numpy(), **CLOSE)
