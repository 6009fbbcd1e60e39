"""products: the factors of LoRA, LoHa and LoKr in all their forms, against what these algorithms add when baked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from modelhub.errors import CorruptFileError, ModelError
from modelhub.lora.making.products import decomposed, formed, product_of, scale_of

rng = np.random.default_rng(11)
Parts = Mapping[str, np.ndarray]


def n(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def tensors(parts: Parts) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in parts.items()}


def lora(p: Parts) -> np.ndarray:
    return (
        float(p.get("alpha", len(p["a"])))
        / len(p["a"])
        * p["b"].reshape(len(p["b"]), -1)
        @ p["a"].reshape(len(p["a"]), -1)
    )


def tucker(p: Parts) -> np.ndarray:
    whole = np.einsum("mnkl,om,ni->oikl", p["mid"], p["b"][..., 0, 0], p["a"][..., 0, 0])
    return float(p["alpha"]) / len(p["a"]) * whole.reshape(len(whole), -1)


def loha(p: Parts) -> np.ndarray:
    return float(p["alpha"]) / len(p["w1_b"]) * (p["w1_a"] @ p["w1_b"]) * (p["w2_a"] @ p["w2_b"])


def loha_cores(p: Parts) -> np.ndarray:
    one, two = (np.einsum("ijkl,jr,ip->prkl", p[f"t{w}"], p[f"w{w}_b"], p[f"w{w}_a"]) for w in "12")
    return (float(p["alpha"]) / len(p["w1_b"]) * one * two).reshape(len(one), -1)


def lokr(p: Parts) -> np.ndarray:
    one = p["w1"] if "w1" in p else p["w1_a"] @ p["w1_b"]
    if "t2" in p:
        two = np.einsum("ijkl,ip,jr->prkl", p["t2"], p["w2_a"], p["w2_b"])
    else:
        two = p["w2"] if "w2" in p else p["w2_a"] @ p["w2_b"]
    rank = next((len(p[name]) for name in ("w1_b", "w2_b") if name in p), 0)
    scale = float(p["alpha"]) / rank if rank else 1.0
    whole = np.kron(one.reshape(*one.shape, *[1] * (two.ndim - 2)), two)
    return scale * whole.reshape(len(whole), -1)


CASES = {
    "linear": ("lora", lora, {"a": n(3, 10), "b": n(8, 3), "alpha": np.array(1.5)}, ()),
    "no alpha": ("lora", lora, {"a": n(3, 10), "b": n(8, 3)}, ()),
    "conv": ("lora", lora, {"a": n(3, 5, 3, 3), "b": n(8, 3, 1, 1), "alpha": np.array(3.0)}, (3, 3)),
    "pixel": ("lora", lora, {"a": n(3, 5, 1, 1), "b": n(8, 3, 1, 1)}, (1, 1)),
    "tucker": (
        "lora", tucker, {"a": n(3, 5, 1, 1), "b": n(8, 3, 1, 1), "mid": n(3, 3, 3, 3), "alpha": np.array(6.0)}, (3, 3)
    ),
    "loha": (
        "loha", loha, {"w1_a": n(8, 2), "w1_b": n(2, 10), "w2_a": n(8, 2), "w2_b": n(2, 10), "alpha": np.array(1.0)}, ()
    ),
    "loha, cores": (
        "loha", loha_cores,
        {"w1_a": n(2, 8), "w1_b": n(2, 5), "t1": n(2, 2, 3, 3), "w2_a": n(2, 8), "w2_b": n(2, 5), "t2": n(2, 2, 3, 3),
         "alpha": np.array(4.0)}, (3, 3),
    ),
    "lokr, whole": ("lokr", lokr, {"w1": n(2, 3), "w2": n(4, 5), "alpha": np.array(7.0)}, ()),
    "lokr, tall": ("lokr", lokr, {"w1": n(3, 2), "w2": n(5, 4), "alpha": np.array(7.0)}, ()),
    "lokr, factors": (
        "lokr", lokr, {"w1_a": n(4, 2), "w1_b": n(2, 4), "w2_a": n(4, 2), "w2_b": n(2, 5), "alpha": np.array(1.0)}, ()
    ),
    "lokr, half": ("lokr", lokr, {"w1": n(2, 3), "w2_a": n(4, 3), "w2_b": n(3, 5), "alpha": np.array(1.5)}, ()),
    "lokr, conv": ("lokr", lokr, {"w1": n(2, 3), "w2": n(4, 5, 3, 3), "alpha": np.array(1.5)}, (3, 3)),
    "lokr, core": (
        "lokr", lokr, {"w1": n(2, 3), "w2_a": n(2, 4), "w2_b": n(2, 5), "t2": n(2, 2, 3, 3), "alpha": np.array(1.0)}, (3, 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_product_is_what_the_module_adds(case: str) -> None:
    algorithm, formula, parts, kernel = CASES[case]
    expected = formula({name: value.astype(np.float32).astype(np.float64) for name, value in parts.items()})
    found = product_of("module", algorithm, tensors(parts))
    assert found is not None and found.kernel == kernel
    made = found.scale * (found.up.double() @ found.down.double()).numpy()
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= 1e-5 * np.abs(expected).max()
    whole = decomposed(found)
    again = found.scale * ((whole.left.double() * whole.values) @ whole.right.double()).numpy()
    assert np.abs(again - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_scalar_multiplies() -> None:
    parts = {"a": n(2, 4), "b": n(3, 2), "alpha": np.array(1.0), "scalar": np.array(0.5)}
    found = product_of("module", "lora", tensors(parts))
    assert found is not None and found.scale == 0.25


def test_of_other_algorithms_there_is_none() -> None:
    assert product_of("module", "ia3", tensors({"scale": n(4)})) is None


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [
        ("lora", {"a": n(3, 10), "b": n(8, 2)}),
        ("lora", {"a": n(3, 10), "b": n(8)}),
        ("lora", {"a": n(3, 5, 1, 1), "b": n(8, 3, 1, 1), "mid": n(2, 2, 3, 3)}),
        ("loha", {"w1_a": n(8, 2), "w1_b": n(2, 10), "w2_a": n(7, 2), "w2_b": n(2, 10)}),
        ("lokr", {"w1_a": n(4, 2), "w1_b": n(3, 4), "w2": n(2, 2)}),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(algorithm: str, parts: Parts) -> None:
    with pytest.raises(CorruptFileError, match="some_module"):
        product_of("some_module", algorithm, tensors(parts))


@pytest.mark.parametrize("part", ["a", "b", "alpha", "scalar"])
def test_nan_is_refused_by_name(part: str) -> None:
    parts = {"a": n(2, 4), "b": n(3, 2), "alpha": np.array(1.0), "scalar": np.array(1.0)}
    parts[part] = np.full_like(parts[part], np.nan)
    with pytest.raises((ModelError, CorruptFileError), match="some_module"):
        product_of("some_module", "lora", tensors(parts))


@pytest.mark.parametrize("part", ["alpha", "scalar"])
@pytest.mark.parametrize("count", [0, 3])
def test_a_scale_of_several_numbers_is_refused_by_name(part: str, count: int) -> None:
    parts = tensors({"a": n(2, 4), "b": n(3, 2), part: np.ones(count)})
    with pytest.raises(CorruptFileError, match=f"{part} of some_module is {count} values"):
        product_of("some_module", "lora", parts)
    with pytest.raises(CorruptFileError, match=f"{part} of some_module is {count} values"):
        scale_of("some_module", parts, 2)


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [
        ("loha", {"w1_a": n(9, 40), "w1_b": n(40, 7), "w2_a": n(9, 40), "w2_b": n(40, 7), "alpha": np.array(3.0)}),
        ("loha", {"w1_a": n(9, 1), "w1_b": n(1, 7), "w2_a": n(9, 40), "w2_b": n(40, 7), "alpha": np.array(3.0)}),
        ("lokr", {"w1_a": n(3, 40), "w1_b": n(40, 2), "w2_a": n(3, 50), "w2_b": n(50, 4), "alpha": np.array(3.0)}),
    ],
)
def test_more_ranks_than_a_layer_has_take_no_more_memory_than_it(algorithm: str, parts: Parts) -> None:
    product = product_of("some_module", algorithm, tensors(parts))
    assert product is not None
    assert product.rank <= min(len(product.up), product.down.shape[1])
    wanted = {"loha": loha, "lokr": lokr}[algorithm](parts)
    assert np.allclose(formed("some_module", product).numpy(), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("algorithm", "parts"),
    [
        ("lokr", {"w1": n(300, 300), "w2": n(300, 300)}),
        ("loha", {"w1_a": n(40000, 1), "w1_b": n(1, 40000), "w2_a": n(40000, 1), "w2_b": n(1, 40000)}),
        ("lora", {"b": n(40000, 1), "a": n(1, 40000)}),
    ],
)
def test_a_small_file_cannot_ask_for_a_layer_of_terabytes(algorithm: str, parts: Parts) -> None:
    with pytest.raises(CorruptFileError, match="some_module is for a layer of .*, which no model has"):
        formed("some_module", product_of("some_module", algorithm, tensors(parts)))  # type: ignore[arg-type]
