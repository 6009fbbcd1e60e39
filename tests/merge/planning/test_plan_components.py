"""Components in a plan: taken, limited, missing; EMA weights, positions, markers of prediction, guidance of Flux."""

from dataclasses import replace

import pytest
import torch
from merge_bench import (
    CLIP_G,
    CLIP_L,
    FLUX_SHAPES,
    GUIDANCE,
    SDXL_SHAPES,
    SHAPES,
    TEXT,
    UNET,
    VAE,
    VAE_SHAPES,
    Bench,
    checkpoint,
    drawn,
)

from modelhub.errors import IncompatibleError
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe

WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})
FC1, OUT = TEXT + "encoder.layers.0.mlp.fc1.weight", UNET + "out.2.weight"


def lerp(one: torch.Tensor, two: torch.Tensor, alpha: float) -> torch.Tensor:
    return torch.lerp(one.float(), two.float(), alpha).to(one.dtype)


def below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def test_a_step_for_some_components_leaves_the_others_as_its_first_input_has_them(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    result = bench.merged(replace(WS, steps=(replace(WS.steps[0], only=("unet",)),)))
    assert torch.equal(result[FC1], a[FC1]) and torch.equal(result[OUT], lerp(a[OUT], b[OUT], 0.3))
    recipe = parse_recipe(
        '[models]\nA = "a"\nB = "b"\nC = "c"\n'
        '[[steps]]\nname = "t"\nmethod = "weighted-sum"\ninputs = ["B", "C"]\nonly = ["text_encoder"]\nalpha = 0.5\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "t"]\nalpha = 0.25\n'
    )
    c, result = bench.load("c"), bench.merged(recipe)
    assert torch.equal(result[OUT], lerp(a[OUT], b[OUT], 0.25)), "the inner step gives B's denoiser"
    inner = torch.lerp(b[FC1].float(), c[FC1].float(), 0.5)
    assert torch.equal(result[FC1], torch.lerp(a[FC1].float(), inner, 0.25).half())
    vae = VAE + "quant_conv.weight"
    merged = bench.merged(replace(WS, steps=(replace(WS.steps[0], only=("vae",)),)))
    assert torch.equal(merged[vae], lerp(a[vae], b[vae], 0.3)) and torch.equal(merged[OUT], a[OUT])


def test_a_component_is_taken_from_any_model_as_it_is(bench: Bench) -> None:
    a, b, c = (bench.load(name) for name in "abc")
    taken = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3}, take={"text_encoder": "c"})
    planned, result = bench.plan(taken), bench.merged(taken)
    assert planned.report.reasons[FC1] == "te1 is taken from c"
    assert all(torch.equal(result[name], c[name]) for name in c if name.startswith(TEXT)), "positions as well"
    assert torch.equal(result[OUT], lerp(a[OUT], b[OUT], 0.3))
    own = bench.merged(replace(taken, take={"te1": "A"}, models=WS.models))
    assert torch.equal(own[FC1], a[FC1])
    unet = bench.merged(simple_recipe("weighted-sum", ["a", "b"], take={"unet": "b"}))
    assert torch.equal(unet[OUT], b[OUT]) and torch.equal(unet[FC1], lerp(a[FC1], b[FC1], 0.5))
    with pytest.raises(IncompatibleError, match="has no second text encoder"):
        bench.plan(replace(taken, take={"te2": "B"}, models=WS.models))


def test_either_text_encoder_of_sdxl_is_taken_also_from_a_file_of_its_own(bench: Bench) -> None:
    for seed, name in enumerate(("x", "y", "z")):
        bench.put(name, drawn(seed, SDXL_SHAPES))
    x, y, z = (bench.load(name) for name in "xyz")
    bench.put("alone", below(CLIP_L.removesuffix("text_model."), z))
    fc1, in_proj = CLIP_L + "encoder.layers.0.mlp.fc1.weight", CLIP_G + "transformer.resblocks.0.attn.in_proj_weight"
    result = bench.merged(
        simple_recipe("weighted-sum", ["x", "y"], parameters={"alpha": 0.3}, take={"te1": "alone", "te2": "y"})
    )
    assert torch.equal(result[fc1], z[fc1]) and torch.equal(result[in_proj], y[in_proj])
    assert torch.equal(result[OUT], lerp(x[OUT], y[OUT], 0.3)) and set(result) == set(x)


@pytest.mark.parametrize("prefix", ["", VAE, "vae."])
def test_a_vae_is_baked_from_a_file_with_any_prefix_without_its_training(bench: Bench, prefix: str) -> None:
    vae = below(VAE, checkpoint(9, torch.float32))
    bench.put("vae", {prefix + name: t for name, t in vae.items()} | {prefix + "loss.logvar": torch.zeros(1)})
    result = bench.merged(simple_recipe("weighted-sum", ["a", "b"], vae="vae"))
    assert {name for name in result if name.startswith(VAE)} == {VAE + name for name in vae}
    assert not any("loss" in name for name in result)
    assert all(torch.equal(result[VAE + name], tensor) for name, tensor in vae.items()), "in its own precision"
    half = bench.merged(simple_recipe("weighted-sum", ["a", "b"], vae="vae", dtype="bf16"))
    assert torch.equal(half[VAE + "quant_conv.weight"], vae["quant_conv.weight"].bfloat16())


def test_a_vae_with_matrices_for_convolutions_is_baked_in_the_shapes_of_the_first(bench: Bench) -> None:
    vae = below(VAE, checkpoint(9))
    bench.put("vae", vae | {"quant_conv.weight": vae["quant_conv.weight"][:, :, 0, 0].clone()})
    result = bench.merged(simple_recipe("weighted-sum", ["a", "b"], vae="vae"))
    assert torch.equal(result[VAE + "quant_conv.weight"], vae["quant_conv.weight"])
    bench.put("bad", vae | {"quant_conv.weight": torch.zeros(9, 8, 1, 1)})
    with pytest.raises(IncompatibleError, match="quant_conv"):
        bench.plan(simple_recipe("weighted-sum", ["a", "b"], vae="bad"))


def test_matrices_and_convolutions_of_one_point_are_the_same_weights(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    name = VAE + "quant_conv.weight"
    bench.put("b", b | {name: b[name][:, :, 0, 0].clone()})
    result = bench.merged(replace(WS, vae="merge"))
    assert torch.equal(result[name], lerp(a[name], b[name], 0.3)) and result[name].shape == (8, 8, 1, 1)


def test_a_first_model_without_vae_gets_one_and_no_other_component(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    bench.put("bare", {name: tensor for name, tensor in a.items() if not name.startswith((VAE, TEXT))})
    recipe = simple_recipe("weighted-sum", ["bare", "b"], parameters={"alpha": 0.3})
    planned = bench.plan(recipe)
    assert set(planned.report.extra["B"]) == {name for name in b if name.startswith((VAE, TEXT))}
    assert any("only in b: left out" in warning for warning in planned.report.warnings)
    baked = bench.merged(replace(recipe, vae="B"))
    assert all(torch.equal(baked[name], b[name]) for name in b if name.startswith(VAE))
    assert not any(name.startswith(TEXT) for name in baked)


def test_a_denoiser_alone_is_merged_into_a_checkpoint_and_a_text_encoder_too(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    bench.put("unet", below(UNET, b))
    bench.put("text", below(TEXT.removesuffix("text_model."), b))
    result = bench.merged(simple_recipe("weighted-sum", ["a", "unet"], parameters={"alpha": 0.3}))
    assert torch.equal(result[OUT], lerp(a[OUT], b[OUT], 0.3)) and torch.equal(result[FC1], a[FC1])
    for x in (0, 1):
        bench.put(f"x{x}", drawn(x, SDXL_SHAPES))
    one, two = bench.load("x0"), bench.load("x1")
    fc1 = CLIP_L + "encoder.layers.0.mlp.fc1.weight"
    bench.put("clip", below(CLIP_L.removesuffix("text_model."), two))
    result = bench.merged(simple_recipe("weighted-sum", ["x0", "clip"], parameters={"alpha": 0.3}))
    assert torch.equal(result[fc1], lerp(one[fc1], two[fc1], 0.3)) and torch.equal(result[OUT], one[OUT])
    bench.put("clip0", below(CLIP_L.removesuffix("text_model."), one))
    alone = bench.merged(simple_recipe("weighted-sum", ["clip0", "clip"], parameters={"alpha": 0.3}))
    assert torch.equal(alone[fc1.removeprefix("conditioner.embedders.0.transformer.")], lerp(one[fc1], two[fc1], 0.3))


def ema(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(UNET)}
    return {"model_ema." + name.removeprefix("model.").replace(".", ""): t.clone() + 1 for name, t in own.items()}


def test_ema_weights_are_dropped_or_kept_and_never_merged(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    bench.put("a", a | ema(a))
    bench.put("b", b | ema(b))
    assert set(bench.merged(WS)) == set(a)
    kept, planned = bench.merged(replace(WS, ema="keep")), bench.plan(replace(WS, ema="keep"))
    assert all(torch.equal(kept[name], tensor) for name, tensor in ema(a).items())
    assert not set(planned.report.merged) & set(ema(a)) and planned.report.dropped == []
    bench.put("a", a)
    assert set(bench.merged(replace(WS, ema="keep"))) == set(a), "those of B are not added"


def test_positions_are_copied_and_damaged_ones_warned_of(bench: Bench) -> None:
    name = TEXT + "embeddings.position_ids"
    good = torch.arange(77)[None]
    damaged = {"wrong": good.clone().clamp(max=75), "float": good.float(), "half": good.half()}
    for ids in damaged.values():
        a = checkpoint(0) | {name: ids}
        bench.put("a", a)
        planned = bench.plan(WS)
        assert any("position_ids" in w and "modelhub repair" in w for w in planned.report.warnings)
        assert name in planned.report.copied and torch.equal(bench.merged(WS)[name], ids)
    bench.put("a", checkpoint(0) | {name: good})
    bench.put("b", checkpoint(1) | {name: good.float()})
    assert not any("position" in w for w in bench.plan(WS).report.warnings)
    assert torch.equal(bench.merged(WS)[name], good)


def test_markers_of_prediction_follow_the_first_and_a_quarrel_is_told(bench: Bench) -> None:
    markers = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}
    for seed, name in enumerate(("eps", "eps2")):
        bench.put(name, drawn(seed, SDXL_SHAPES))
    bench.put("v", drawn(2, SDXL_SHAPES) | markers)
    v_first = simple_recipe("weighted-sum", ["v", "eps"])
    assert set(markers) <= set(bench.merged(v_first))
    (warning,) = [w for w in bench.plan(v_first).report.warnings if "predict" in w]
    assert "v: v-prediction, zero terminal SNR" in warning and "eps: not said" in warning
    assert bench.plan(v_first).header.tensors["v_pred"].shape == (0,)
    eps_first = simple_recipe("weighted-sum", ["eps", "v"])
    assert not set(markers) & set(bench.merged(eps_first))
    assert any("marked as eps is" in w for w in bench.plan(eps_first).report.warnings)
    assert not any("predict" in w for w in bench.plan(simple_recipe("weighted-sum", ["eps", "eps2"])).report.warnings)


def flux(first: str, *others: str, method: str = "weighted-sum") -> Recipe:
    return simple_recipe(method, [first, *others], parameters={"alpha": 0.3})


def test_guidance_of_flux_dev_is_kept_or_added_and_told(bench: Bench) -> None:
    bench.put("dev", drawn(0, FLUX_SHAPES | GUIDANCE))
    bench.put("schnell", drawn(1, FLUX_SHAPES))
    bench.put("tuned", drawn(2, FLUX_SHAPES | GUIDANCE))
    dev, schnell = bench.load("dev"), bench.load("schnell")
    for recipe, has, said in (
        (flux("dev", "schnell"), True, "the result has that of dev"),
        (flux("schnell", "dev"), True, "the result has that of dev"),
        (flux("schnell", "tuned", "dev", method="add-difference"), False, "the result has none either"),
    ):
        planned, result = bench.plan(recipe), bench.merged(recipe)
        (warning,) = [w for w in planned.report.warnings if "guidance input" in w]
        assert said in warning and "schnell" in warning
        assert (set(GUIDANCE) <= set(result)) is has
        assert all(torch.equal(result[name], dev[name]) for name in GUIDANCE if has)
    mixed = bench.merged(flux("dev", "schnell"))
    name = "txt_in.weight"
    assert torch.equal(mixed[name], lerp(dev[name], schnell[name], 0.3))
    prefixed = {UNET + name: tensor for name, tensor in schnell.items()}
    bench.put("prefixed", prefixed)
    assert all(torch.equal(bench.merged(flux("dev", "prefixed"))[name], mixed[name]) for name in mixed)
    assert UNET + "guidance_in.in_layer.weight" in bench.merged(flux("prefixed", "dev"))


def test_a_plan_of_sd1_shapes_has_the_layout_of_the_first(bench: Bench) -> None:
    planned = bench.plan(WS)
    assert {name: info.shape for name, info in planned.header.tensors.items() if name in SHAPES} == SHAPES


def scaled(tensors: dict[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    """With one matrix as fp8 and the scale that its numbers stand for."""
    name = UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    packed = {name: (tensors[name].float() / scale).to(torch.float8_e4m3fn)}
    return tensors | packed | {name.removesuffix("weight") + "scale_weight": torch.tensor(scale)}


def test_scaled_fp8_is_merged_as_the_numbers_it_stands_for(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    name = UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    bench.put("packed", scaled(b, 0.25))
    meant = scaled(b, 0.25)[name].float() * 0.25
    recipe = simple_recipe("weighted-sum", ["a", "packed"], parameters={"alpha": 0.3})
    result, planned = bench.merged(recipe), bench.plan(recipe)
    assert torch.equal(result[name], torch.lerp(a[name].float(), meant, 0.3).half()) and set(result) == set(a)
    assert any("packed (scaled-fp8)" in warning for warning in planned.report.warnings)
    turned = bench.merged(simple_recipe("weighted-sum", ["packed", "a"], parameters={"alpha": 0.3}))
    assert torch.equal(turned[name], torch.lerp(meant, a[name].float(), 0.3).bfloat16())
    assert turned[OUT].dtype == torch.float16 and set(turned) == set(a)


def test_a_vae_of_diffusers_is_baked_under_the_names_of_the_first(bench: Bench) -> None:
    matrices = {f"decoder.mid_block.attentions.0.to_{one}.weight": f"decoder.mid.attn_1.{one}.weight" for one in "qkv"}
    kernels = {
        f"decoder.mid_block.resnets.{number}.conv{conv}.weight": f"decoder.mid.block_{number + 1}.conv{conv}.weight"
        for number in range(2)
        for conv in (1, 2)
    }
    names = matrices | kernels
    own = dict.fromkeys(kernels.values(), (8, 8, 3, 3)) | dict.fromkeys(matrices.values(), (8, 8, 1, 1))
    for name in "ab":
        bench.put(name, bench.load(name) | drawn(3, {VAE + new: shape for new, shape in own.items()}))
    shapes = {name.removeprefix(VAE): shape for name, shape in VAE_SHAPES.items() if "block_1" not in name}
    vae = drawn(5, shapes | dict.fromkeys(kernels, (8, 8, 3, 3)) | dict.fromkeys(matrices, (8, 8)), torch.float32)
    bench.put("vae", vae)
    result = bench.merged(simple_recipe("weighted-sum", ["a", "b"], vae="vae"))
    assert {name for name in result if name.startswith(VAE)} == {VAE + names.get(name, name) for name in vae}
    for name, tensor in vae.items():
        shape = (8, 8, 1, 1) if name in matrices else tensor.shape
        assert torch.equal(result[VAE + names.get(name, name)], tensor.view(shape)), name
