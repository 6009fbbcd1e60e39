"""Weights of tensors: by block, component and name, and tensors that one model gives as they are."""

import pytest
import torch
from merge_bench import FLUX_SHAPES, SDXL_SHAPES, TEXT, UNET, VAE, Bench, checkpoint, drawn

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe

FIRST, MIDDLE, LAST = (
    UNET + name for name in ("input_blocks.0.0.bias", "middle_block.1.proj_in.weight", "out.2.weight")
)
TO_K = UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
FC1 = TEXT + "encoder.layers.0.mlp.fc1.weight"


def weighed(alpha: Weight, *refs: str) -> Recipe:
    return simple_recipe("weighted-sum", list(refs) or ["a", "b"], parameters={"alpha": alpha})


def check(bench: Bench, recipe: Recipe, expected: dict[str, float], pair: tuple[str, str] = ("a", "b")) -> None:
    a, b = (bench.load(name) for name in pair)
    result = bench.merged(recipe)
    for name, alpha in expected.items():
        assert torch.equal(result[name], torch.lerp(a[name].float(), b[name].float(), alpha).half()), name


def test_blocks_components_and_names_each_have_their_own_number(bench: Bench) -> None:
    weight = Weight(
        base=0.5, components={"te1": 0.1, "unet": 0.2}, blocks={"IN00": 0.3, "M00": 0.4}, keys=(("*attn2*", 0.9),)
    )
    check(bench, weighed(weight), {FIRST: 0.3, LAST: 0.2, FC1: 0.1, TO_K: 0.9})
    check(bench, weighed(Weight(blocks={"OUT11": 0.25})), {LAST: 0.25, FIRST: 0.5, FC1: 0.5})


def test_the_blocks_are_those_of_the_architecture(bench: Bench) -> None:
    for seed, name in enumerate(("xl1", "xl2")):
        bench.put(name, drawn(seed, SDXL_SHAPES))
    k_proj = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.self_attn.k_proj.weight"
    in_proj = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"
    weight = Weight(base=0.5, components={"te1": 0.1, "te2": 0.8}, blocks={"OUT08": 0.25, "IN04": 0.75})
    deep = UNET + "input_blocks.4.1.proj_in.weight"
    expected = {k_proj: 0.1, in_proj: 0.8, LAST: 0.25, deep: 0.75}
    check(bench, weighed(weight, "xl1", "xl2"), expected, ("xl1", "xl2"))
    for seed, name in enumerate(("f1", "f2")):
        bench.put(name, drawn(seed, FLUX_SHAPES))
    weight = Weight(base=0.5, blocks={"IN": 0.1, "D07": 0.2, "S37": 0.3, "OUT": 0.4})
    expected = {
        "txt_in.weight": 0.1,
        "double_blocks.7.img_attn.qkv.weight": 0.2,
        "single_blocks.37.linear1.weight": 0.3,
        "final_layer.linear.weight": 0.4,
        "double_blocks.0.img_attn.qkv.weight": 0.5,
    }
    check(bench, weighed(weight, "f1", "f2"), expected, ("f1", "f2"))


def test_blocks_that_the_architecture_lacks_are_refused_before_any_work(bench: Bench) -> None:
    with pytest.raises(BadRecipeError):
        bench.plan(weighed(Weight(blocks={"D07": 0.2})))


def test_a_number_at_an_end_gives_a_tensor_as_it_is_and_computes_nothing(bench: Bench) -> None:
    recipe = weighed(Weight(base=0.5, components={"te1": 1.0}, blocks={"M00": 0.0, "IN00": 1.0}))
    planned = bench.plan(recipe)
    reasons = planned.report.reasons
    assert reasons[FC1] == reasons[FIRST] == "by its weights that of b alone"
    assert reasons[MIDDLE] == "by its weights that of a alone"
    assert LAST in planned.report.merged and FIRST not in planned.report.merged
    a, b = bench.load("a"), bench.load("b")
    a[MIDDLE][0, 0, 0, 0] = float("nan")
    a[FIRST][0] = float("inf")
    bench.put("a", a)
    result = bench.merged(recipe)
    assert torch.equal(result[FIRST], b[FIRST]), "an infinite A with no weight does not spoil it"
    assert result[MIDDLE][0, 0, 0, 0].isnan()


def test_ends_of_nested_steps_are_followed_to_the_model(bench: Bench) -> None:
    recipe = parse_recipe(
        '[models]\nA = "a"\nB = "b"\nC = "c"\n[[steps]]\nname = "x"\nmethod = "weighted-sum"\ninputs = ["B", "C"]\nalpha = 1.0\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "x"]\nalpha = { default = 1.0, M00 = 0.5 }\n'
    )
    planned = bench.plan(recipe)
    assert planned.report.reasons[LAST] == "by its weights that of c alone"
    assert set(planned.report.merged) == {n for n in bench.load("a") if "middle_block" in n}
    result, c = bench.merged(recipe), bench.load("c")
    assert torch.equal(result[LAST], c[LAST])
    assert torch.equal(result[MIDDLE], torch.lerp(bench.load("a")[MIDDLE].float(), c[MIDDLE].float(), 0.5).half())


def test_a_picked_tensor_of_another_precision_is_stored_as_that_of_the_first(bench: Bench) -> None:
    b = checkpoint(1, torch.float32)
    bench.put("b", b)
    result = bench.merged(simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 1.0}))
    assert torch.equal(result[LAST], b[LAST].half()) and result[LAST].dtype == torch.float16


def test_a_plan_tells_the_weights_that_it_uses(bench: Bench) -> None:
    planned = bench.plan(weighed(Weight(base=0.5, components={"te1": 0.1}, blocks={"IN00": 0.3})))
    rows = {(row.component, row.block): (dict(row.parameters), row.tensors) for row in planned.report.weights}
    assert rows["te1", "BASE"] == ({"alpha": 0.1}, 2)
    assert rows["unet", "IN00"] == ({"alpha": 0.3}, 3), "two of the first block, and the time embedding"
    assert rows["unet", "M00"] == ({"alpha": 0.5}, 2)
    assert ("vae", None) not in rows and {row.step for row in planned.report.weights} == {1}
    assert sum(row.tensors for row in planned.report.weights) == len(planned.report.merged) == 14
    assert planned.report.passes == 1


@pytest.mark.usefixtures("tried")
def test_a_step_that_is_used_twice_is_made_once(bench: Bench) -> None:
    recipe = parse_recipe(
        '[models]\nA = "a"\nB = "b"\n[[steps]]\nname = "x"\nmethod = "try-survey"\ninputs = ["A", "B"]\n'
        '[[steps]]\nname = "y"\nmethod = "weighted-sum"\ninputs = ["x", "A"]\nalpha = 0.25\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["x", "y"]\nalpha = 0.5\n'
    )
    planned = bench.plan(recipe)
    assert [sum(row.tensors for row in planned.report.weights if row.step == step) for step in (1, 2, 3)] == [14] * 3
    a, b, result = bench.load("a"), bench.load("b"), bench.merged(recipe)
    names = planned.report.merged
    total = sum(float(a[name].double().sum()) for name in names) % 1.0
    for name in names:
        one, two = a[name].double(), b[name].double()
        x = one + two * total
        assert torch.allclose(result[name].double(), 0.5 * x + 0.5 * (0.75 * x + 0.25 * one), atol=4e-3), name


@pytest.mark.usefixtures("tried")
def test_a_plan_tells_how_often_it_reads(bench: Bench) -> None:
    assert bench.plan(simple_recipe("try-measured", ["a", "b"])).report.passes == 2
    nested = parse_recipe(
        '[models]\nA = "a"\nB = "b"\n[[steps]]\nname = "x"\nmethod = "try-measured"\ninputs = ["A", "B"]\n'
        '[[steps]]\nmethod = "try-survey"\ninputs = ["x", "B"]\n'
    )
    assert bench.plan(nested).report.passes == 3


def test_a_vae_with_a_weight_of_its_own_is_merged(bench: Bench) -> None:
    name = VAE + "quant_conv.weight"
    check(bench, weighed(Weight(base=0.5, components={"vae": 0.2})), {name: 0.2, LAST: 0.5})
