"""Models for inpainting and editing, whose first convolution takes more channels, merged with those of four."""

import pytest
import torch
from merge_bench import FIRST_CONV, FLUX_SHAPES, SHAPES, UNET, Bench, checkpoint, drawn

from modelhub.catalog.identify import identify
from modelhub.errors import IncompatibleError
from modelhub.merge.recipes.recipe import parse_recipe, simple_recipe

OUT = UNET + "out.2.weight"


def wide(seed: int, channels: int, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    return checkpoint(seed, dtype, SHAPES | {FIRST_CONV: (8, channels, 3, 3)})


def lerp(one: torch.Tensor, two: torch.Tensor, alpha: float) -> torch.Tensor:
    return torch.lerp(one.float(), two.float(), alpha).to(one.dtype)


def added(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, alpha: float) -> torch.Tensor:
    return (a.double() + alpha * (b.double() - c.double())).to(a.dtype)


@pytest.mark.parametrize("channels", [9, 8])
def test_a_wide_first_model_merges_the_latent_and_keeps_its_other_channels(bench: Bench, channels: int) -> None:
    a, b = wide(0, channels), bench.load("b")
    bench.put("wide", a)
    recipe = simple_recipe("weighted-sum", ["wide", "b"], parameters={"alpha": 0.3})
    planned, result = bench.plan(recipe), bench.merged(recipe)
    assert torch.equal(result[FIRST_CONV][:, :4], lerp(a[FIRST_CONV][:, :4], b[FIRST_CONV], 0.3))
    assert torch.equal(result[FIRST_CONV][:, 4:], a[FIRST_CONV][:, 4:])
    assert torch.equal(result[OUT], lerp(a[OUT], b[OUT], 0.3))
    assert identify(planned.header).variant == {9: "inpaint", 8: "pix2pix"}[channels]
    assert any(f"The result takes {channels} channels, as wide does" in w for w in planned.report.warnings)
    whole = bench.merged(simple_recipe("weighted-sum", ["wide", "b"], parameters={"alpha": 1.0}))
    assert torch.equal(whole[FIRST_CONV], torch.cat([b[FIRST_CONV], a[FIRST_CONV][:, 4:]], 1))


def test_wide_models_of_one_kind_are_merged_whole_and_of_two_kinds_as_far_as_they_mean_the_same(bench: Bench) -> None:
    nine, other, eight = wide(3, 9), wide(4, 9), wide(5, 8)
    for name, tensors in (("nine", nine), ("other", other), ("eight", eight)):
        bench.put(name, tensors)
    both = bench.merged(simple_recipe("weighted-sum", ["nine", "other"], parameters={"alpha": 0.3}))
    assert torch.equal(both[FIRST_CONV], lerp(nine[FIRST_CONV], other[FIRST_CONV], 0.3))
    mixed = bench.merged(simple_recipe("weighted-sum", ["nine", "eight"], parameters={"alpha": 0.3}))[FIRST_CONV]
    assert torch.equal(mixed[:, :4], lerp(nine[FIRST_CONV][:, :4], eight[FIRST_CONV][:, :4], 0.3))
    assert torch.equal(mixed[:, 4:], nine[FIRST_CONV][:, 4:])


def test_a_narrow_first_model_cannot_be_weighed_against_a_wide_one(bench: Bench) -> None:
    bench.put("wide", wide(3, 9))
    with pytest.raises(IncompatibleError, match=r"takes 4 channels in the first model and 9") as caught:
        bench.plan(simple_recipe("weighted-sum", ["a", "wide"]))
    assert "first" in caught.value.hint and "add-difference" in caught.value.hint


def test_add_difference_onto_an_inpainting_model(bench: Bench) -> None:
    a, b, c = wide(3, 9), bench.load("b"), bench.load("c")
    bench.put("wide", a)
    result = bench.merged(simple_recipe("add-difference", ["wide", "b", "c"], parameters={"alpha": 0.7}))[FIRST_CONV]
    expected = added(a[FIRST_CONV][:, :4], b[FIRST_CONV], c[FIRST_CONV], 0.7)
    assert torch.allclose(result[:, :4].float(), expected.float(), atol=2e-3)
    assert torch.equal(result[:, 4:], a[FIRST_CONV][:, 4:])


def test_the_further_channels_of_a_wide_first_model_take_no_part_in_a_difference_from_a_narrow_one(
    bench: Bench,
) -> None:
    a, b, c = wide(3, 9), wide(4, 9), bench.load("c")
    bench.put("one", a)
    bench.put("two", b)
    result = bench.merged(simple_recipe("add-difference", ["one", "two", "c"], parameters={"alpha": 0.5}))[FIRST_CONV]
    expected = added(a[FIRST_CONV][:, :4], b[FIRST_CONV][:, :4], c[FIRST_CONV], 0.5)
    assert torch.allclose(result[:, :4].float(), expected.float(), atol=2e-3)
    assert torch.equal(result[:, 4:], a[FIRST_CONV][:, 4:])


def test_inpainting_less_its_base_makes_any_model_one_for_inpainting(bench: Bench) -> None:
    a, b, c = (tensors[FIRST_CONV] for tensors in (bench.load("a"), wide(3, 9), bench.load("c")))
    bench.put("wide", wide(3, 9))
    recipe = simple_recipe("add-difference", ["a", "wide", "c"], parameters={"alpha": 0.7})
    planned, result = bench.plan(recipe), bench.merged(recipe)[FIRST_CONV]
    assert result.shape == (8, 9, 3, 3) and identify(planned.header).variant == "inpaint"
    assert torch.allclose(result[:, :4].float(), added(a, b[:, :4], c, 0.7).float(), atol=2e-3)
    assert torch.allclose(result[:, 4:].float(), 0.7 * b[:, 4:].float(), atol=2e-3)
    assert any("gets them from the difference" in w for w in planned.report.warnings)
    full = bench.merged(simple_recipe("add-difference", ["a", "wide", "c"], parameters={"alpha": 1.0}))[FIRST_CONV]
    assert torch.equal(full[:, 4:], b[:, 4:])
    nothing = bench.merged(simple_recipe("add-difference", ["a", "wide", "c"], parameters={"alpha": 0.0}))[FIRST_CONV]
    assert torch.equal(nothing, torch.cat([a, torch.zeros(8, 5, 3, 3).half()], 1))


def test_a_difference_of_two_inpainting_models_leaves_a_model_as_narrow_as_it_was(bench: Bench) -> None:
    b, c = wide(3, 9), wide(4, 9)
    bench.put("one", b)
    bench.put("two", c)
    recipe = simple_recipe("add-difference", ["a", "one", "two"], parameters={"alpha": 0.7})
    result, a = bench.merged(recipe)[FIRST_CONV], bench.load("a")[FIRST_CONV]
    expected = added(a, b[FIRST_CONV][:, :4], c[FIRST_CONV][:, :4], 0.7)
    assert result.shape == a.shape and torch.allclose(result.float(), expected.float(), atol=2e-3)


@pytest.mark.usefixtures("tried")
@pytest.mark.parametrize("name", ["try-rows", "try-tensor", "try-measured"])
def test_methods_that_see_rows_or_tensors_see_the_latents_channels_alone(bench: Bench, name: str) -> None:
    a = wide(3, 9, torch.float32)
    bench.put("wide", a)
    narrow = {n: t[:, :4].clone() if n == FIRST_CONV else t for n, t in a.items()}
    bench.put("narrow", narrow)
    result = bench.merged(simple_recipe(name, ["wide", "b"]))[FIRST_CONV]
    assert torch.equal(result[:, :4], bench.merged(simple_recipe(name, ["narrow", "b"]))[FIRST_CONV])
    assert torch.equal(result[:, 4:], a[FIRST_CONV][:, 4:])


def test_channels_go_through_nested_steps(bench: Bench) -> None:
    a, b, c, d = bench.load("a"), bench.load("b"), bench.load("c"), wide(3, 9)
    bench.put("d", d)
    recipe = parse_recipe(
        '[models]\nA = "a"\nB = "b"\nC = "c"\nD = "d"\n'
        '[[steps]]\nname = "inpaint"\nmethod = "add-difference"\ninputs = ["A", "D", "C"]\nalpha = 1.0\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["inpaint", "B"]\nalpha = 0.5\n'
    )
    result = bench.merged(recipe)[FIRST_CONV]
    a, b, c, d = (one[FIRST_CONV].double() for one in (a, b, c, d))
    expected = torch.cat([(a + d[:, :4] - c + b) / 2, d[:, 4:]], 1)
    assert torch.allclose(result.double(), expected, atol=4e-3)


ORIGINAL = {
    "input_blocks.0.0.bias": (8,),
    "input_blocks.1.0.in_layers.2.weight": (8, 8, 3, 3),
    "input_blocks.1.1.proj_in.weight": (8, 8, 1, 1),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    **{f"output_blocks.{number}.0.in_layers.2.weight": (8, 8, 3, 3) for number in range(3)},
}


def test_the_first_convolution_of_diffusers_too(bench: Bench) -> None:
    shapes = {
        "conv_in.weight": (8, 9, 3, 3),
        "conv_in.bias": (8,),
        "down_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3),
        "down_blocks.0.attentions.0.proj_in.weight": (8, 8, 1, 1),
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (8, 12),
        "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (8, 12),
        **{f"up_blocks.0.resnets.{number}.conv1.weight": (8, 8, 3, 3) for number in range(3)},
    }
    for seed, (name, channels) in enumerate((("d9", 9), ("d4", 4))):
        bench.put(name, drawn(seed, shapes | {"conv_in.weight": (8, channels, 3, 3)}))
    a, b = bench.load("d9")["conv_in.weight"], bench.load("d4")["conv_in.weight"]
    for other in ("d4", "ldm"):
        result = bench.merged(simple_recipe("weighted-sum", ["d9", other], parameters={"alpha": 0.3}))["conv_in.weight"]
        assert torch.equal(result, torch.cat([lerp(a[:, :4], b, 0.3), a[:, 4:]], 1)), other
        bench.put("ldm", drawn(5, {UNET + name: shape for name, shape in ORIGINAL.items()}) | {FIRST_CONV: b})


def test_flux_fill_takes_six_times_the_channels(bench: Bench) -> None:
    bench.put("fill", drawn(0, FLUX_SHAPES | {"img_in.weight": (16, 384)}))
    bench.put("dev", drawn(1, FLUX_SHAPES))
    a, b = bench.load("fill")["img_in.weight"], bench.load("dev")["img_in.weight"]
    result = bench.merged(simple_recipe("weighted-sum", ["fill", "dev"], parameters={"alpha": 0.3}))["img_in.weight"]
    assert torch.equal(result, torch.cat([lerp(a[:, :64], b, 0.3), a[:, 64:]], 1))


def test_other_shapes_are_refused_with_their_names_and_numbers(bench: Bench) -> None:
    bench.put("odd", checkpoint(3, shapes=SHAPES | {OUT: (4, 9, 3, 3)}))
    with pytest.raises(IncompatibleError, match=r"out\.2\.weight is \[4, 8, 3, 3\] in A, \[4, 9, 3, 3\] in B"):
        bench.plan(simple_recipe("weighted-sum", ["a", "odd"]))
    bench.put("odd", checkpoint(3, shapes=SHAPES | {FIRST_CONV: (9, 4, 3, 3)}))
    with pytest.raises(IncompatibleError, match=r"input_blocks\.0\.0\.weight is"):
        bench.plan(simple_recipe("weighted-sum", ["a", "odd"]))


def test_a_difference_by_itself_brings_channels_to_what_it_is_added_to(bench: Bench) -> None:
    bench.put("wide", wide(3, 9))
    lonely = UNET + "extra.weight"
    bench.put("a", bench.load("a") | {lonely: torch.ones(8).half()})
    bench.put("b", bench.load("b") | {lonely: torch.ones(8).half() * 3})
    recipe = parse_recipe(
        '[models]\nA = "a"\nD = "wide"\nC = "c"\nB = "b"\n'
        '[[steps]]\nname = "inpaint"\nmethod = "subtract"\ninputs = ["D", "C"]\nalpha = 1.0\n'
        '[[steps]]\nname = "other"\nmethod = "subtract"\ninputs = ["B", "C"]\nalpha = 1.0\n'
        '[[steps]]\nname = "both"\nmethod = "add"\ninputs = ["A", "inpaint"]\nalpha = 1.0\n'
        '[[steps]]\nmethod = "add"\ninputs = ["both", "other"]\nalpha = 0.5\n'
    )
    result = bench.merged(recipe)
    a, b, c, d = (bench.load(name)[FIRST_CONV].double() for name in ("a", "b", "c", "wide"))
    expected = torch.cat([a + d[:, :4] - c + 0.5 * (b - c), d[:, 4:]], 1)
    assert torch.allclose(result[FIRST_CONV].double(), expected, atol=4e-3)
    assert torch.equal(result[lonely], torch.ones(8).half()), "B has it and C has not: there is no difference"
    half = bench.merged(simple_recipe("subtract", ["wide", "c"], parameters={"alpha": 0.5}))[FIRST_CONV]
    assert torch.equal(half[:, 4:].double(), d[:, 4:] / 2)
    delta = bench.plan(simple_recipe("subtract", ["b", "c"]))
    assert delta.report.dropped == [lonely] and lonely not in delta.header.tensors
