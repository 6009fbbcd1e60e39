"""Bit by bit as AUTOMATIC1111's merger, which is written out here on whole tensors."""

from dataclasses import replace

import pytest
import torch
from merge_bench import FIRST_CONV, FLUX_SHAPES, SHAPES, TEXT, UNET, VAE, Bench, Tensors, checkpoint, drawn

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import IncompatibleError, UsageError
from modelhub.merge.recipes.recipe import Recipe, simple_recipe

HALF, BRAIN, FULL = torch.float16, torch.bfloat16, torch.float32
BIG = {UNET + "middle_block.2.weight": (300, 700)}
SKIPPED = "cond_stage_model.transformer.text_model.embeddings.position_ids"
DTYPES = [(HALF,) * 3, (BRAIN,) * 3, (FULL,) * 3, (HALF, FULL, HALF), (BRAIN, HALF, FULL), (FULL, HALF, BRAIN)]


def a1111(a: Tensors, b: Tensors, c: Tensors | None, multiplier: float, half: bool, vae: Tensors | None) -> Tensors:
    """The loop of its merger: names with 'model' in them that B has too, B - C first if there is a C."""
    theta = dict(b)
    if c is not None:
        for key in b:
            if "model" in key and key != SKIPPED:
                theta[key] = b[key] - c[key] if key in c else torch.zeros_like(b[key])
    result = dict(a)
    for key, one in a.items():
        if "model" not in key or key not in theta or key == SKIPPED:
            continue
        two = theta[key]
        if one.shape != two.shape:
            first = one[:, 0:4, :, :]
            mixed = ((1 - multiplier) * first) + (multiplier * two) if c is None else first + (multiplier * two)
            result[key] = one.clone()
            result[key][:, 0:4, :, :] = mixed
        else:
            result[key] = ((1 - multiplier) * one) + (multiplier * two) if c is None else one + (multiplier * two)
        if half and result[key].dtype == FULL:
            result[key] = result[key].half()
    for key, tensor in (vae or {}).items():
        if "first_stage_model." + key in result:
            result["first_stage_model." + key] = tensor.half() if half and tensor.dtype == FULL else tensor
    return result


def same(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert (
            found[name].numpy(force=True).tobytes() == tensor.contiguous().numpy(force=True).tobytes()
            if (tensor.dtype != BRAIN)
            else torch.equal(found[name].view(torch.int16), tensor.contiguous().view(torch.int16))
        ), name


def asked(*refs: str, alpha: float = 0.3, vae: str | None = None, dtype: str | None = None) -> Recipe:
    method = "weighted-sum" if len(refs) == 2 else "add-difference"
    return simple_recipe(method, refs, parameters={"alpha": alpha}, vae=vae, dtype=dtype, compat="a1111")


def put_three(bench: Bench, dtypes: tuple[torch.dtype, ...] = (HALF,) * 3) -> list[Tensors]:
    made = [checkpoint(seed, dtype, SHAPES | BIG) for seed, dtype in enumerate(dtypes)]
    for name, tensors in zip("abc", made, strict=True):
        tensors["model_ema.decay"] = tensors["betas"][0] / 100 + 0.9
        bench.put(name, tensors)
    return made


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("dtypes", DTYPES)
def test_weighted_sums_and_differences_are_those_of_the_merger(
    bench: Bench, dtypes: tuple[torch.dtype, ...], half: bool
) -> None:
    a, b, c = put_three(bench, dtypes)
    for alpha in (0.3, 1 / 3, 0.0, 1.0):
        wanted = "fp16" if half else None
        same(bench.merged(asked("a", "b", alpha=alpha, dtype=wanted)), a1111(a, b, None, alpha, half, None))
        same(bench.merged(asked("a", "b", "c", alpha=alpha, dtype=wanted)), a1111(a, b, c, alpha, half, None))


def test_it_is_another_result_than_ours(bench: Bench) -> None:
    put_three(bench)
    ours, theirs = bench.merged(replace(asked("a", "b"), compat=None)), bench.merged(asked("a", "b"))
    name = UNET + "middle_block.2.weight"
    assert 0.1 < float((ours[name] != theirs[name]).float().mean()) < 0.4, "rounded three times, so often otherwise"


def test_keys_on_one_side_only_and_what_a_third_model_lacks(bench: Bench) -> None:
    a, b, c = put_three(bench)
    missing, lonely = UNET + "out.2.weight", UNET + "input_blocks.2.0.in_layers.0.weight"
    del c[missing], b[UNET + "time_embed.0.weight"]
    b[lonely] = torch.ones(8).half()
    a[missing][0, 0, 0, 0] = -0.0
    for name, tensors in (("a", a), ("b", b), ("c", c)):
        bench.put(name, tensors)
    result = bench.merged(asked("a", "b", "c"))
    same(result, a1111(a, b, c, 0.3, False, None))
    assert lonely not in result and not result[missing][0, 0, 0, 0].signbit(), "-0 + 0 is 0"
    planned = bench.plan(asked("a", "b", "c"))
    assert planned.report.reasons[UNET + "time_embed.0.weight"] == "not in b"
    assert VAE + "quant_conv.weight" in planned.report.merged and "betas" in planned.report.copied


def test_inpainting_goes_first(bench: Bench) -> None:
    a, b, c = put_three(bench)
    a = checkpoint(7, FULL, SHAPES | BIG | {FIRST_CONV: (8, 9, 3, 3)})
    bench.put("wide", a)
    same(bench.merged(asked("wide", "b")), a1111(a, b, None, 0.3, False, None))
    same(bench.merged(asked("wide", "b", "c", dtype="fp16")), a1111(a, b, c, 0.3, True, None))
    for refs in (("a", "wide"), ("a", "wide", "c")):
        with pytest.raises(IncompatibleError, match="input_blocks"):
            bench.plan(asked(*refs))


@pytest.mark.parametrize("half", [False, True])
def test_a_vae_is_baked_where_the_first_model_has_its_tensors(bench: Bench, half: bool) -> None:
    a, b, _ = put_three(bench)
    vae = {name.removeprefix(VAE): t for name, t in checkpoint(9, FULL).items() if name.startswith(VAE)}
    del vae["encoder.conv_in.weight"]
    vae["loss.logvar"] = torch.zeros(1)
    bench.put("vae", vae)
    expected = a1111(a, b, None, 0.3, half, vae)
    same(bench.merged(asked("a", "b", vae="vae", dtype="fp16" if half else None)), expected)


def test_any_range_is_computed_as_the_whole_is(bench: Bench) -> None:
    put_three(bench, (HALF, FULL, BRAIN))
    planned = bench.plan(asked("a", "b", "c"))
    name = UNET + "middle_block.2.weight"
    whole = planned.read_bytes(name)
    for offset, size in ((0, 1), (3, 7), (len(whole) - 5, 5), (1001, 4000)):
        buffer = bytearray(size)
        planned.read_into(name, offset, memoryview(buffer))
        assert buffer == whole[offset : offset + size]


def test_names_without_model_would_not_be_merged_at_all(bench: Bench) -> None:
    for seed, name in enumerate(("f1", "f2")):
        bench.put(name, drawn(seed, FLUX_SHAPES))
    with pytest.raises(IncompatibleError, match="it would write an unchanged copy"):
        bench.plan(asked("f1", "f2"))
    assert set(bench.merged(replace(asked("f1", "f2"), compat=None))) == set(FLUX_SHAPES)


def test_what_the_merger_cannot_do_is_refused(bench: Bench) -> None:
    plain = asked("a", "b")
    step = plain.steps[0]
    refused = [
        replace(plain, dtype="bf16"),
        replace(plain, take={"te1": "B"}),
        replace(plain, steps=(replace(step, only=("unet",)),)),
        replace(plain, steps=(replace(step, parameters={"alpha": Weight(0.5)}),)),
        replace(plain, steps=(replace(step, name="x"), replace(step, inputs=("A", "x")))),
    ]
    for recipe in refused:
        with pytest.raises(UsageError, match="AUTOMATIC1111's merger cannot do this"):
            bench.plan(recipe)
    bench.put("f8", {name: t.to(torch.float8_e4m3fn) if "out" in name else t for name, t in checkpoint(1).items()})
    with pytest.raises(IncompatibleError, match="cannot compute with"):
        bench.plan(asked("a", "f8"))


def test_positions_of_any_text_encoder_are_copied(bench: Bench) -> None:
    a, b, _ = put_three(bench)
    assert torch.equal(bench.merged(asked("a", "b"))[SKIPPED], a[SKIPPED])
    for name, tensors in (("a", a), ("b", b)):
        bench.put(name, tensors | {SKIPPED: tensors[SKIPPED].float()})
    assert torch.equal(bench.merged(asked("a", "b"))[SKIPPED], a[SKIPPED].float()), "also damaged ones"
    assert SKIPPED == TEXT + "embeddings.position_ids" and not torch.equal(a[SKIPPED], b[SKIPPED])


def test_text_encoders_with_old_names_are_merged_under_the_new_ones(bench: Bench) -> None:
    a, b, _ = put_three(bench)
    bench.put("old", {name.replace("transformer.text_model.", "transformer."): t for name, t in a.items()})
    for refs, expected in (
        (("old", "b"), a1111(a, b, None, 0.3, False, None)),
        (("b", "old"), a1111(b, a, None, 0.3, False, None)),
    ):
        same(bench.merged(asked(*refs)), expected)
