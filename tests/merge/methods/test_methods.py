"""Every method against its formula in numpy float64, through the engine; and what interfaces read of the registry."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from applying import applied, computed, result
from formulas import CASES, ORACLES
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import NotFoundError
from modelhub.merge.engine import expression
from modelhub.merge.registry import find_method, methods

SHAPES = [(), (1,), (7,), (90,), (0,), (3, 0), (13, 5), (40, 3), (1, 9), (6, 4, 3, 3), (5, 3, 1, 1)]
ids = [f"{name}-{count}-{'-'.join(map(str, parameters.values()))}" for name, count, parameters in CASES]
each_case = pytest.mark.parametrize(("name", "count", "parameters"), CASES, ids=ids)


def arrays(count: int, shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 3) -> list[np.ndarray]:
    """Relatives: one base and small differences, on a grid that is so coarse that differences of them are exact."""
    random = np.random.default_rng(seed)
    base = random.normal(size=shape)
    found = [base + 0.4 * random.normal(size=shape) for _ in range(count)]
    return [(np.round(x * 2**16) / 2**16).astype(dtype).reshape(shape) for x in found]


def whole(inputs: list[np.ndarray]) -> Iterator[np.ndarray]:
    return (array.astype(np.float64) for array in inputs)


def test_every_method_has_an_oracle_and_is_tried() -> None:
    assert set(methods()) == set(ORACLES) == {name for name, _, _ in CASES}


@each_case
@np.errstate(all="ignore")
def test_a_method_is_its_formula(name: str, count: int, parameters: dict[str, Any]) -> None:
    for shape in SHAPES:
        inputs = arrays(count, shape)
        if name == "rotate" and shape in ((13, 5), (1, 9), (5, 3, 1, 1)) and parameters["alignment"] % 1:
            inputs = arrays(count, (30, *shape[1:]))  # fewer rows than columns have no one rotation
        wanted = ORACLES[name](*whole(inputs), **parameters)
        found = result(name, *inputs, **parameters)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=f"{shape}")


@each_case
@np.errstate(all="ignore")
def test_fp64_inputs_are_computed_in_fp64(name: str, count: int, parameters: dict[str, Any]) -> None:
    inputs = arrays(count, (40, 3), np.float64)
    wanted = ORACLES[name](*inputs, **parameters)
    np.testing.assert_allclose(result(name, *inputs, **parameters), wanted, rtol=1e-6, atol=1e-6)


@each_case
def test_nothing_depends_on_the_windows(
    name: str, count: int, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for shape in ((1301,), (37, 20), (9, 6, 3, 3)):
        inputs = arrays(count, shape)
        wanted = result(name, *inputs, **parameters)
        for window in (97, 512):
            monkeypatch.setattr(expression, "WINDOW", window)
            np.testing.assert_array_equal(result(name, *inputs, **parameters), wanted)
            monkeypatch.undo()


@each_case
def test_inputs_are_left_alone_and_results_are_new(name: str, count: int, parameters: dict[str, Any]) -> None:
    method = find_method(name)

    def watched(*tensors: torch.Tensor, **settings: Any) -> torch.Tensor:
        before = [tensor.clone() for tensor in tensors]
        found = method.function(*tensors, **settings)
        assert all(torch.equal(one, two) for one, two in zip(tensors, before, strict=True)), "inputs are left alone"
        found.zero_()
        assert all(torch.equal(one, two) for one, two in zip(tensors, before, strict=True)), "the result is its own"
        assert found.shape == tensors[0].shape and found.dtype == tensors[0].dtype
        return found

    for shape in ((), (300,), (13, 5), (6, 4, 3, 3)):
        result(replace(method, function=watched), *arrays(count, shape), **parameters)


@each_case
def test_quotients_of_nothing_have_an_answer(name: str, count: int, parameters: dict[str, Any]) -> None:
    for shape in ((), (7,), (13, 5), (6, 4, 3, 3)):
        zeros = [np.zeros(shape, np.float32)] * count
        assert np.isfinite(result(name, *zeros, **parameters)).all()
        same = arrays(1, shape) * count
        assert np.isfinite(result(name, *same, **parameters)).all()
        base, *others = arrays(count, shape)
        for mixed in ([zeros[0], *others], [base, *zeros[1:]], [*[base] * (count - 1), others[-1]]):
            assert np.isfinite(result(name, *mixed, **parameters)).all()


ODD = st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.0, 1e-45, -1e-38, 1e-20, -1e-7, 1e7, -1e12, 3.0])


@each_case
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_finite_numbers_make_finite_numbers(
    name: str, count: int, parameters: dict[str, Any], data: st.DataObject
) -> None:
    """Of a few values at a time: so differences are nothing, or next to nothing, often."""
    shape = data.draw(st.sampled_from([(), (3,), (2, 3), (3, 2), (2, 1, 2, 2)]))
    few = data.draw(st.lists(ODD, min_size=1, max_size=4, unique=True))
    values = st.lists(st.sampled_from(few), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    inputs = [np.array(data.draw(values), np.float32).reshape(shape) for _ in range(count)]
    found = result(name, *inputs, **parameters)
    assert np.isfinite(found).all(), (inputs, found)


#: Methods whose result, where all inputs are the same, is not that input.
NOT_THE_SAME = {"add", "subtract"}


@each_case
def test_the_same_model_merged_with_itself_stays_as_it_is(name: str, count: int, parameters: dict[str, Any]) -> None:
    undivided = not sum(parameters.get("weights", ())) and parameters.get("weights") and name == "average"
    for shape in ((300,), (13, 5), (6, 4, 3, 3)):
        inputs = arrays(1, shape) * count
        if name not in NOT_THE_SAME and not undivided:
            np.testing.assert_array_equal(result(name, *inputs, **parameters), inputs[0])


@each_case
def test_a_nan_spoils_no_more_than_it_must(name: str, count: int, parameters: dict[str, Any]) -> None:
    inputs = arrays(count, (13, 5))
    inputs[1][4, 2] = np.nan
    found = np.isfinite(result(name, *inputs, **parameters))
    if find_method(name).scope != "tensor":
        assert found.sum() >= found.size - 1
    wild = arrays(count, (2000,))
    wild[1][1000] = np.inf
    result(name, *wild, **parameters)


PICKS: list[tuple[str, int, dict[str, Any], int]] = [
    ("weighted-sum", 2, {"alpha": 0.0}, 0),
    ("weighted-sum", 2, {"alpha": 1.0}, 1),
    ("average", 3, {"weights": (0.0, 0.3, 0.0)}, 1),
    ("sum-twice", 3, {"alpha": 0.3, "beta": 1.0}, 2),
    ("sum-twice", 3, {"alpha": 0.0, "beta": 0.0}, 0),
    ("sum-twice", 3, {"alpha": 1.0, "beta": 0.0}, 1),
    ("triple-sum", 3, {"alpha": 0.0, "beta": 0.0}, 0),
    ("triple-sum", 3, {"alpha": 1.0, "beta": 0.0}, 1),
    ("triple-sum", 3, {"alpha": 0.0, "beta": 1.0}, 2),
    ("add", 2, {"alpha": 0.0}, 0),
    ("add-difference", 3, {"alpha": 0.0}, 0),
    ("add-difference-clamped", 3, {"alpha": 0.0}, 0),
    ("train-difference", 3, {"alpha": 0.0}, 0),
    ("add-opposite", 3, {"alpha": 0.0}, 0),
    ("similarity-difference", 3, {"alpha": 0.0, "beta": 0.4}, 0),
    ("multiply-difference", 3, {"alpha": 0.0, "beta": 0.0}, 0),
    ("multiply-difference", 3, {"alpha": 1.0, "beta": 1.0}, 1),
    ("slerp", 2, {"alpha": 0.0}, 0),
    ("slerp", 2, {"alpha": 1.0}, 1),
    ("perpendicular", 3, {"alpha": 0.0}, 0),
    ("tensor-sum", 2, {"alpha": 0.0, "beta": 0.4}, 0),
    ("tensor-sum", 2, {"alpha": 1.0, "beta": 0.4}, 1),
    ("crossover", 2, {"alpha": 0.0, "tilt": 0.3}, 0),
    ("crossover", 2, {"alpha": 1.0, "tilt": 0.0}, 1),
    ("task-arithmetic", 3, {"alpha": 0.0}, 0),
    ("ties", 3, {"alpha": 0.0, "density": 0.3}, 0),
    ("dare", 3, {"alpha": 1.0, "density": 0.0}, 0),
    ("della", 3, {"alpha": 1.0, "density": 0.0, "epsilon": 0.0}, 0),
    ("truncate-rank", 2, {"alpha": 0.0}, 0),
    ("rotate", 2, {"alpha": 0.0, "alignment": 0.0}, 0),
    ("smooth-add", 3, {"alpha": 0.0}, 0),
]


@pytest.mark.parametrize(("name", "count", "parameters", "wanted"), PICKS)
def test_what_is_one_input_is_picked(name: str, count: int, parameters: dict[str, Any], wanted: int) -> None:
    for shape in ((300,), (13, 5), (6, 4, 3, 3)):
        inputs = arrays(count, shape)
        node = applied(name, *inputs, **parameters)
        assert node.method.pick is not None and node.method.pick(node.parameters) == wanted
        if parameters.get("density") != 0:
            np.testing.assert_allclose(computed(node, np.float32), inputs[wanted], rtol=1e-6, atol=1e-6)


def test_every_pick_is_tried_and_settings_in_between_pick_nothing() -> None:
    assert {name for name, *_ in PICKS} == {name for name, method in methods().items() if method.pick}
    for name, method in methods().items():
        values = {p.name: 0.37 if p.kind == "number" else p.default for p in method.parameters}
        if method.pick:
            assert method.pick(values) is None, name


@each_case
def test_inputs_are_read_as_often_as_is_said(name: str, count: int, parameters: dict[str, Any]) -> None:
    for shape in ((300,), (13, 5)):
        node = applied(name, *arrays(count, shape), **parameters)
        computed(node, np.float32)
        times = [leaf.source.read / (4 * node.numel) for leaf in node.inputs]
        assert max(times) <= node.method.passes, times
        words = {2: "very model twice", 3: "very\nmodel three times|very model three times"}.get(node.method.passes)
        text = node.method.help.replace("\n", " ")
        assert words is None or any(word.replace("\n", " ") in text for word in words.split("|"))


RANDOM = [case for case in CASES if "chance" in find_method(case[0]).wants and case[2]["density"] < 1]


@pytest.mark.parametrize(("name", "count", "parameters"), RANDOM)
def test_a_seed_decides(name: str, count: int, parameters: dict[str, Any]) -> None:
    inputs = arrays(count, (40, 50))
    one, again, other = (result(name, *inputs, **{**parameters, "seed": seed}) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0, 1.3])
def test_native_methods_round_once(dtype: torch.dtype, alpha: float) -> None:
    """Every number of the dtype beside another one."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    every = every[every.float().abs() < 1e38]  # so that B − A is finite
    other = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(1))]
    native = find_method("weighted-sum").function(every, other, alpha=alpha)
    in_fp32 = find_method("weighted-sum").function(every.float(), other.float(), alpha=alpha).to(dtype)
    assert torch.equal(native, in_fp32)
    assert {name for name, method in methods().items() if method.native} == {"weighted-sum", "tensor-sum"}


def test_interfaces_can_read_everything_from_the_registry() -> None:
    for name, method in methods().items():
        assert method.name == name
        assert method.formula and len(method.formula) < 120 and "Source: " in method.help, name
        assert method.help.count("\n\n") >= 1 and "Args" not in method.help
        for parameter in method.parameters:
            assert parameter.help and not parameter.help.endswith("."), name
            if parameter.kind in ("number", "whole"):
                assert parameter.low <= parameter.default <= parameter.high, name
            if parameter.kind == "choice":
                assert parameter.default in parameter.choices
        if "chance" in method.wants:
            assert method.parameter("seed") is not None
        if method.scope == "tensor":
            assert "orks on whole tensors" in method.help.replace("\n", " "), name


def test_names_are_found_however_they_are_written() -> None:
    assert find_method("Weighted Sum") is find_method("weighted_sum") is find_method("weighted-sum")
    with pytest.raises(NotFoundError, match="wieghted") as caught:
        find_method("wieghted sum")
    assert "weighted-sum" in caught.value.hint
