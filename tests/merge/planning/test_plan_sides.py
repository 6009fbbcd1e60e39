"""Tensors that only some of the models have."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from merge_bench import TEXT, UNET, Bench, checkpoint

from modelhub.merge.recipes.recipe import simple_recipe

WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})
AD = simple_recipe("add-difference", ["a", "b", "c"], parameters={"alpha": 0.7})
ONLY_B = UNET + "input_blocks.2.0.in_layers.0.weight"
ONLY_A = UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"


def test_a_weighted_mode_keeps_what_only_a_has_and_adds_what_only_b_has(bench: Bench) -> None:
    a, b = checkpoint(0), checkpoint(1)
    del b[ONLY_A]
    bench.put("b", b | {ONLY_B: torch.ones(8).half(), "v_pred": torch.empty(0), "lonely": torch.ones(3)})
    planned = bench.plan(WS)
    assert planned.report.added == [ONLY_B] and planned.report.reasons[ONLY_B] == "only in b"
    assert planned.report.reasons[ONLY_A] == "not in B" and ONLY_A in planned.report.copied
    assert planned.report.extra == {"B": ["lonely", "v_pred"]}, "what is no weight of a component is not added"
    assert any("1 tensor only in b: added" in warning for warning in planned.report.warnings)
    assert any("1 weight that B lacks" in warning for warning in planned.report.warnings)
    result = bench.merged(WS)
    assert torch.equal(result[ONLY_A], a[ONLY_A]) and torch.equal(result[ONLY_B], torch.ones(8).half())
    assert set(result) == set(a) | {ONLY_B}
    assert {(one.done, one.reason): len(one.names) for one in planned.report.because()} == {
        ("copied", "not in B"): 1,
        ("copied", "a VAE is copied, not merged"): 5,
        ("copied", "not a float"): 1,
        ("copied", "no weight of a component"): 1,
        ("added", "only in b"): 1,
    }


def test_a_difference_mode_never_adds_and_is_nothing_where_c_lacks_a_tensor(bench: Bench) -> None:
    a, b, c = (checkpoint(seed) for seed in range(3))
    del c[ONLY_A]
    bench.put("b", b | {ONLY_B: torch.ones(8).half()})
    bench.put("c", c)
    planned = bench.plan(AD)
    assert planned.report.added == [] and planned.report.extra == {"B": [ONLY_B]}
    assert planned.report.reasons[ONLY_A] == "not in C"
    assert any("1 tensor only in b: left out" in warning for warning in planned.report.warnings)
    result = bench.merged(AD)
    assert set(result) == set(a) and torch.equal(result[ONLY_A], a[ONLY_A])


@pytest.mark.usefixtures("tried")
def test_methods_of_many_models_go_on_with_those_that_have_a_tensor(bench: Bench) -> None:
    a, b, c = (checkpoint(seed, torch.float32) for seed in range(3))
    for name, tensors in (("a", a), ("b", {n: t for n, t in b.items() if n != ONLY_A}), ("c", c)):
        bench.put(name, tensors)
    mean = bench.merged(simple_recipe("try-mean", ["a", "b", "c"], parameters={"weights": [1, 2, 5]}))
    assert torch.allclose(mean[ONLY_A], (a[ONLY_A] + 5 * c[ONLY_A]) / 6, atol=1e-6)
    text = TEXT + "encoder.layers.0.mlp.fc1.weight"
    assert torch.allclose(mean[text], (a[text] + 2 * b[text] + 5 * c[text]) / 8, atol=1e-6)
    tasks = bench.merged(simple_recipe("try-tasks", ["a", "b", "c"], parameters={"scale": 0.5}))
    assert torch.allclose(tasks[ONLY_A], a[ONLY_A] + 0.5 * (c[ONLY_A] - a[ONLY_A]), atol=1e-6)


OTHERS = [UNET + f"extra.{number}.weight" for number in range(6)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.sets(st.sampled_from(OTHERS)), min_size=3, max_size=3), st.sampled_from(["add-difference", "sum-twice"])
)
def test_whoever_has_a_tensor_the_result_has_what_the_rule_says(
    bench: Bench, having: list[set[str]], method: str
) -> None:
    models = [
        checkpoint(seed, torch.float32) | {name: torch.full((3,), 10.0**seed) for name in names}
        for seed, names in enumerate(having)
    ]
    for name, tensors in zip("abc", models, strict=True):
        bench.put(name, tensors)
    weighs = method == "sum-twice"
    result = bench.merged(simple_recipe(method, ["a", "b", "c"], parameters={"alpha": 0.5}))
    for name in OTHERS:
        values = [tensors[name] for tensors in models if name in tensors]
        if len(values) == 3:
            whole = 0.5 * (0.5 + 5.0) + 50.0 if weighs else 1.0 + 0.5 * (10.0 - 100.0)
            assert torch.allclose(result[name], torch.full((3,), whole))
        elif values and (weighs or name in models[0]):
            assert torch.equal(result[name], values[0])
        else:
            assert name not in result
