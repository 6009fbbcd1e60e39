"""Sums over tensors against numpy in float64: products, rounding, windows, and how fits of them come out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelhub.catalog.weighing.weights import Spot
from modelhub.formats.opening import open_source
from modelhub.merge.explain.fitting import fit
from modelhub.merge.explain.nice import nicest
from modelhub.merge.explain.roll import Shared
from modelhub.merge.explain.sums import WINDOW, Sums, equal, measure, total

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


def made(folder: Path, tensors: list[torch.Tensor], most: int | None = None) -> Sums:
    """The sums of a merge (first) and its parents, from files."""
    sources = []
    for at, tensor in enumerate(tensors):
        save_file({"x": tensor}, folder / f"{at}.safetensors")
        sources.append(open_source(folder / f"{at}.safetensors"))
    count = len(tensors) - 1
    shared = Shared(Spot("", None, "x", "x"), tuple(range(count)), ("x",) * count)
    return measure(shared, sources[0], sources[1:], most)


def near(count: int, dtype: torch.dtype, seed: int = 0, size: float = 0.02) -> list[torch.Tensor]:
    """Three tensors that are near to each other."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(count, generator=generator, dtype=torch.float64)
    return [(start + size * torch.randn(count, generator=generator, dtype=torch.float64)).to(dtype) for _ in range(3)]


@pytest.mark.parametrize("kind", list(DTYPES))
@pytest.mark.parametrize("count", [1, 7, WINDOW, 3 * WINDOW + 1000])
def test_products_and_rounding_are_those_of_numpy(tmp_path: Path, kind: str, count: int) -> None:
    a, b, c = near(count, DTYPES[kind])
    m = (0.7 * a.double() + 0.3 * b.double()).to(DTYPES[kind])
    found = made(tmp_path, [m, a, b, c])
    x, y, z, w = (tensor.double().numpy() for tensor in (a, b, c, m))
    rows = np.stack([x, y - x, z - x, w - x])
    assert np.allclose(found.gram, rows @ rows.T, rtol=1e-6, atol=1e-7 * count * 4e-4)
    assert found.elements == count and found.size == pytest.approx(w @ w)
    if kind != "F64" and count > 7:
        bits = {"F16": 10, "BF16": 7, "F32": 23}[kind]
        ulp = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(w), 2.0**-14))) - bits)
        assert found.rounding == pytest.approx((ulp**2).sum() / 12, rel=1e-4)
        exact = 0.7 * x + 0.3 * y
        assert ((w - exact) ** 2).sum() == pytest.approx(found.rounding, rel=0.05)


def test_a_sample_is_spread_over_the_tensor(tmp_path: Path) -> None:
    a, b, c = near(10 * WINDOW, torch.float16)
    whole, part = (made(tmp_path, [a, a, b, c], most) for most in (None, 3))
    assert (whole.elements, part.elements) == (10 * WINDOW, 3 * WINDOW)
    assert whole.same == part.same == (True, False, False)


def test_sums_add_up_and_not_finite_ones_are_known(tmp_path: Path) -> None:
    a, b, c = near(5000, torch.float32)
    m = 0.2 * a + 0.8 * b
    halves = [made(tmp_path, [t[:2000] for t in (m, a, b, c)]), made(tmp_path, [t[2000:] for t in (m, a, b, c)])]
    whole = made(tmp_path, [m, a, b, c])
    assert np.allclose(total(halves).gram, whole.gram, rtol=1e-12)
    assert whole.finite
    for wrong in (float("nan"), float("inf")):
        c[3] = wrong
        assert not made(tmp_path, [m, a, b, c]).finite


def test_fp8_models(tmp_path: Path) -> None:
    a, b, c = near(5000, torch.float8_e4m3fn, size=0.5)
    m = (0.7 * a.double() + 0.3 * b.double()).half()
    found = fit(made(tmp_path, [m, a, b, c]))
    assert np.allclose(found.weights, (0.7, 0.3, 0), atol=1e-3)
    m8 = m.to(torch.float8_e4m3fn)
    found = fit(made(tmp_path, [m8, a, b, c]))
    assert np.allclose(found.weights, (0.7, 0.3, 0), atol=0.05) and 0.5 < found.rounding < 1.5


def test_a_fit_is_that_of_numpy_and_its_errors_are_the_usual_ones(tmp_path: Path) -> None:
    a, b, c = near(20_000, torch.float64)
    generator = torch.Generator().manual_seed(9)
    noise = 0.01 * torch.randn(20_000, generator=generator, dtype=torch.float64)
    found = fit(made(tmp_path, [0.5 * a + 0.2 * b + 0.3 * c + noise, a, b, c]))
    x, y, z = (tensor.numpy() for tensor in (a, b, c))
    steps = np.stack([y - x, z - x], 1)
    goal = (0.5 * a + 0.2 * b + 0.3 * c + noise).numpy() - x
    wanted, left = np.linalg.lstsq(steps, goal, rcond=None)[:2]
    assert np.allclose(found.weights, [1 - wanted.sum(), *wanted], atol=1e-9)
    assert found.left == pytest.approx(float(left[0]))
    errors = np.sqrt(np.diag(np.linalg.inv(steps.T @ steps)) * left[0] / 19_998)
    assert np.allclose(found.errors[1:], errors, rtol=1e-3)
    assert not found.apart and found.known(2)
    assert found.allows(found.weights.tolist()) and not found.allows([0.6, 0.1, 0.3])


def test_without_the_bound_the_sum_is_found(tmp_path: Path) -> None:
    a, b, c = near(20_000, torch.float32)
    found = fit(made(tmp_path, [0.5 * a - 0.2 * b, a, b, c]), bound=False)
    assert np.allclose(found.weights, (0.5, -0.2, 0), atol=1e-5)


@pytest.mark.parametrize("far", [0, 1, 2])
def test_it_does_not_matter_which_parent_is_unrelated(tmp_path: Path, far: int) -> None:
    a, b, _ = near(20_000, torch.float32, size=1e-3)
    parents = [a, b]
    parents.insert(far, 100 * near(20_000, torch.float32, seed=5)[0])
    weights = [0.7, 0.3]
    weights.insert(far, 0.0)
    found = fit(made(tmp_path, [0.7 * a + 0.3 * b, *parents]))
    assert np.allclose(found.weights, weights, atol=1e-4)


def test_identical_parents_share_and_are_told(tmp_path: Path) -> None:
    a, b, _ = near(5000, torch.float32)
    found = fit(made(tmp_path, [0.4 * a + 0.6 * b, a, b, b]))
    assert found.apart == (frozenset({1, 2}),)
    assert found.weights[0] == pytest.approx(0.4, abs=1e-5) and found.weights[1:].sum() == pytest.approx(0.6, abs=1e-5)
    assert np.isinf(found.errors[1]) and found.errors[0] < 1e-3
    assert found.allows([0.4, 0.6, 0.0]) and found.allows([0.4, 0.0, 0.6]) and not found.allows([0.5, 0.5, 0.0])
    everything = fit(made(tmp_path, [a, a, a, a]))
    assert everything.apart == (frozenset({0, 1, 2}),) and everything.residual == 0


@pytest.mark.parametrize(
    ("weights", "room", "wanted"),
    [
        ((0.70002, 0.29998), 1e-4, [0.7, 0.3]),
        ((0.6666, 0.3334), 1e-4, [2 / 3, 1 / 3]),
        ((1.00001, 0.70001, -0.70002), 1e-4, [1.0, 0.7, -0.7]),
        ((0.7123456789, 0.2876543211), 1e-9, [0.7123456789, 0.2876543211]),
        ((0.08334, 0.91666), 1e-4, [1 / 12, 11 / 12]),
    ],
)
def test_nice_numbers_are_found_only_within_the_errors(
    weights: tuple[float, ...], room: float, wanted: list[float]
) -> None:
    found = nicest(weights, lambda tried: max(abs(a - b) for a, b in zip(tried, weights, strict=True)) <= room)
    assert found == pytest.approx(wanted, abs=1e-12) and sum(found) == pytest.approx(1)


def test_tensors_beside_weights_are_compared_value_by_value(tmp_path: Path) -> None:
    for name, tensors in {
        "a": {"x": torch.arange(9), "y": torch.ones(2)},
        "b": {"x": torch.arange(9), "y": torch.ones(3)},
        "c": {"x": torch.arange(9) + 1, "y": torch.ones(2).half()},
    }.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
    a, b, c = (open_source(tmp_path / f"{name}.safetensors") for name in "abc")
    assert equal("x", a, "x", b) and not equal("x", a, "x", c)
    assert not equal("y", a, "y", b) and not equal("y", a, "y", c)
