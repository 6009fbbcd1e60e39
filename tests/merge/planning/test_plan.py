"""Plans and merges of small checkpoints in the SD1 layout, against numpy in float64, bit by bit and byte by byte."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from merge_bench import FLUX_SHAPES, SDXL_SHAPES, SHAPES, TEXT, UNET, VAE, Bench, checkpoint, drawn, merged_names
from safetensors import safe_open
from safetensors.torch import load_file

from modelhub.errors import (
    BadRecipeError,
    CancelledError,
    FileExistsAlreadyError,
    IncompatibleError,
    NotFoundError,
    UnknownModelError,
    UsageError,
)
from modelhub.formats.hashes import hash_file
from modelhub.jobs import Event, Job
from modelhub.merge.execute import merge
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe

WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})
AD = simple_recipe("add-difference", ["a", "b", "c"], parameters={"alpha": 0.7})


def ulp16(values: np.ndarray) -> np.ndarray:
    return np.spacing(np.abs(values).astype(np.float16)).astype(np.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("recipe", [WS, AD], ids=["weighted-sum", "add-difference"])
def test_a_merge_is_the_formula_in_float64_rounded_once(bench: Bench, recipe: Recipe, dtype: torch.dtype) -> None:
    models = {name: checkpoint(seed, dtype) for seed, name in enumerate("abc")}
    for name, tensors in models.items():
        bench.put(name, tensors)
    result = bench.merged(recipe)
    a, b, c = ({name: tensor.double() for name, tensor in models[key].items()} for key in "abc")
    worst = {torch.float16: 0.5005, torch.bfloat16: 0.5005, torch.float32: 4}[dtype]
    for name in merged_names(a):
        exact = 0.7 * a[name] + 0.3 * b[name] if recipe is WS else a[name] + 0.7 * (b[name] - c[name])
        assert result[name].dtype == dtype
        step = torch.finfo(dtype).eps * 2.0 ** torch.floor(torch.log2(result[name].double().abs().clamp(min=1e-5)))
        scale = step if dtype != torch.float32 else torch.full_like(step, torch.finfo(dtype).eps)
        assert ((result[name].double() - exact).abs() <= worst * scale + 1e-6).all(), name


def test_what_is_not_merged_is_copied_bit_for_bit_from_the_first(bench: Bench) -> None:
    a, result = load_file(bench.folder / "a.safetensors"), bench.merged(WS)
    assert set(result) == set(a)
    for name in set(a) - set(merged_names(a)):
        assert torch.equal(result[name], a[name]), f"{name} is VAE, integer or scheduler data"
    names = merged_names(a)
    assert all(not torch.equal(result[name], a[name]) for name in names) and len(names) == 14


def test_the_vae_is_merged_only_when_asked_or_taken_from_another(bench: Bench) -> None:
    a, b = (load_file(bench.folder / f"{name}.safetensors") for name in "ab")
    asked = bench.merged(replace(WS, vae="merge"))
    assert torch.equal(
        asked[VAE + "quant_conv.weight"], a[VAE + "quant_conv.weight"].lerp(b[VAE + "quant_conv.weight"], 0.3)
    )
    taken = bench.merged(replace(WS, vae="B"))
    assert all(torch.equal(taken[name], b[name]) for name in b if name.startswith(VAE))
    bare = {
        name.removeprefix(VAE): tensor for name, tensor in checkpoint(9, torch.float32).items() if name.startswith(VAE)
    }
    bench.put("vae", bare)
    baked = bench.merged(simple_recipe("weighted-sum", ["a", "b"], vae="vae"))
    assert all(torch.equal(baked[VAE + name], tensor) for name, tensor in bare.items())
    bench.put("unet", {name.removeprefix(UNET): tensor for name, tensor in a.items() if name.startswith(UNET)})
    with pytest.raises(IncompatibleError, match="has no VAE"):
        bench.plan(simple_recipe("weighted-sum", ["a", "b"], vae="unet"))


def test_ema_is_left_out_and_said(bench: Bench) -> None:
    a = checkpoint(0)
    ema = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): tensor.clone()
        for name, tensor in a.items()
        if name.startswith(UNET)
    }
    bench.put("a", a | ema)
    planned = bench.plan(WS)
    assert sorted(planned.report.dropped) == sorted(ema)
    assert any("EMA" in warning for warning in planned.report.warnings)
    assert set(bench.merged(WS)) == set(a)


def test_other_prefixes_are_the_same_place(bench: Bench) -> None:
    a, b = checkpoint(0), checkpoint(1)
    bench.put("b", {name.removeprefix(UNET): tensor for name, tensor in b.items() if name.startswith(UNET)})
    result = bench.merged(WS)
    name = UNET + "out.2.weight"
    assert torch.equal(result[name], a[name].lerp(b[name], 0.3))
    text = TEXT + "encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(result[text], a[text]), "the second model has no text encoder"


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_mixed_precisions_and_an_output_precision(bench: Bench, dtype: str) -> None:
    a, b = checkpoint(0, torch.float32), checkpoint(1, torch.bfloat16)
    bench.put("a", a)
    bench.put("b", b)
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    result = bench.merged(replace(WS, dtype=dtype))
    for name in merged_names(a):
        assert torch.equal(result[name], a[name].lerp(b[name].float(), 0.3).to(wanted))
    assert result[VAE + "quant_conv.weight"].dtype == wanted
    assert result["betas"].dtype == torch.float32, "scheduler data keep their precision"


def test_overflow_and_nan_are_reported(bench: Bench) -> None:
    a, b = checkpoint(0, torch.float32), checkpoint(1, torch.float32)
    a[UNET + "out.2.weight"][0, 0, 0] = 3e5
    b[UNET + "time_embed.0.weight"][0, 0] = float("nan")
    bench.put("a", a)
    bench.put("b", b)
    report = merge(bench.plan(replace(WS, dtype="fp16")), bench.folder / "out.safetensors")
    assert any("out.2.weight: 3 elements" in w and "3 of them too large" in w for w in report.warnings)
    assert any("time_embed.0.weight: 1 element NaN" in w for w in report.warnings)
    clean = merge(bench.plan(replace(WS, dtype="bf16")), bench.folder / "out.safetensors", force=True)
    assert not any("out.2.weight" in w for w in clean.warnings)


def test_steps_feed_each_other_without_rounding_in_between(bench: Bench) -> None:
    recipe = parse_recipe(
        '[models]\nA = "a"\nB = "b"\nC = "c"\n[[steps]]\nname = "half"\nmethod = "weighted-sum"\ninputs = ["A", "B"]\nalpha = 0.1\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["half", "C"]\nalpha = 0.2\n'
    )
    result = bench.merged(recipe)
    a, b, c = (load_file(bench.folder / f"{name}.safetensors") for name in "abc")
    for name in merged_names(a):
        exact = 0.8 * (0.9 * a[name].double() + 0.1 * b[name].double()) + 0.2 * c[name].double()
        nearest = exact.to(torch.float16).double()
        distance = (result[name].double() - exact).abs()
        assert (distance <= (nearest - exact).abs() + 1e-6).all(), name


def test_results_do_not_depend_on_threads_and_blocks(bench: Bench) -> None:
    goal = bench.folder / "out.safetensors"
    written = {
        merge(bench.plan(AD), goal, force=True, workers=workers, block=block).written.sha256
        for workers, block in ((1, 1 << 19), (2, 64), (4, 7), (3, 1000))
    }
    assert len(written) == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 20_000), st.integers(0, 3000))
def test_any_byte_range_of_a_plan_is_that_of_the_written_file(bench: Bench, offset: int, size: int) -> None:
    goal = bench.folder / "whole.safetensors"
    planned = bench.plan(AD)
    if not goal.exists():
        merge(planned, goal)
    data = goal.read_bytes()
    assert planned.header.file_size == len(data)
    assert planned.read_range(offset, size) == data[offset : offset + size]


def test_windows_at_odd_places_are_those_of_the_whole(bench: Bench) -> None:
    planned = bench.plan(AD)
    name = UNET + "out.2.weight"
    whole = planned.read_bytes(name)
    for offset, size in ((0, 1), (1, 1), (1, 2), (3, 7), (len(whole) - 1, 1), (5, 100)):
        buffer = bytearray(size)
        planned.read_into(name, offset, memoryview(buffer))
        assert buffer == whole[offset : offset + size]


def test_provenance_is_readable_by_others_and_runs_again(bench: Bench) -> None:
    hashes = {name: hash_file(bench.folder / f"{name}.safetensors").sha256 for name in "abc"}
    bench.put(
        "a",
        checkpoint(0),
        {
            "sd_merge_models": json.dumps({"old": {"name": "grandparent"}}),
            "modelspec.architecture": "stable-diffusion-v1",
        },
    )
    hashes["a"] = hash_file(bench.folder / "a.safetensors").sha256
    first = bench.merged(AD)
    goal = bench.folder / "out.safetensors"
    with safe_open(goal, "pt") as file:
        metadata = file.metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["format"] == "pt" and metadata["modelspec.architecture"] == "stable-diffusion-v1"
    ancestry, recipe = json.loads(metadata["sd_merge_models"]), json.loads(metadata["sd_merge_recipe"])
    assert set(ancestry) == {"old", *hashes.values()}
    assert [recipe[f"{which}_model_hash"] for which in ("primary", "secondary", "tertiary")] == list(hashes.values())
    again = parse_recipe(metadata["modelhub.recipe"])
    assert {key: model.sha256 for key, model in again.models.items()} == {
        key.upper(): value for key, value in hashes.items()
    }
    goal.rename(bench.folder / "first.safetensors")
    assert all(torch.equal(tensor, first[name]) for name, tensor in bench.merged(again).items())
    assert goal.read_bytes() == (bench.folder / "first.safetensors").read_bytes()


def test_a_pinned_recipe_refuses_another_content(bench: Bench) -> None:
    pinned = parse_recipe(bench.plan(WS).header.metadata["modelhub.recipe"])
    bench.put("b", checkpoint(7))
    with pytest.raises(BadRecipeError, match="another file"):
        bench.plan(pinned)


def test_models_that_do_not_fit_are_refused_from_their_headers(bench: Bench) -> None:
    wide = {name: tuple(2 * n for n in shape) if name.startswith(UNET) else shape for name, shape in SHAPES.items()}
    bench.put("wide", checkpoint(3, shapes=wide))
    with pytest.raises(IncompatibleError, match="other widths"):
        bench.plan(simple_recipe("weighted-sum", ["a", "wide"]))
    linear = {name: shape[:2] if "proj_in" in name else shape for name, shape in SHAPES.items()}
    bench.put("sd2", checkpoint(3, shapes=linear))
    with pytest.raises(IncompatibleError, match="sd1 and B .* is sd2") as caught:
        bench.plan(simple_recipe("weighted-sum", ["a", "sd2"]))
    assert caught.value.exit_code == 4
    bench.put("strange", {"what.is.this": torch.ones(3, 3)})
    with pytest.raises(UnknownModelError):
        bench.plan(simple_recipe("weighted-sum", ["a", "strange"]))
    bench.put(
        "lora",
        {
            f"lora_unet_down_blocks_0_attentions_0_proj_{d}.lora_{u}.weight": torch.ones(4, 4)
            for d in ("in", "out")
            for u in ("up", "down")
        },
    )
    with pytest.raises(IncompatibleError, match="of kind lora"):
        bench.plan(simple_recipe("weighted-sum", ["a", "lora"]))
    with pytest.raises(NotFoundError):
        bench.plan(simple_recipe("weighted-sum", ["a", "nowhere"]))


def test_architectures_that_look_alike_are_refused(bench: Bench) -> None:
    refiner = {n: s for n, s in SDXL_SHAPES.items() if n.startswith((UNET, VAE)) and "input_blocks.4.1" not in n}
    refiner |= {UNET + f"input_blocks.{n}.1.transformer_blocks.0.attn2.to_k.weight": (16, 20) for n in (4, 5)}
    refiner |= {UNET + "input_blocks.4.1.proj_in.weight": (16, 16), UNET + "input_blocks.9.0.op.weight": (8, 8, 3, 3)}
    chroma = {n: s for n, s in FLUX_SHAPES.items() if "_in.in_layer" not in n} | {
        "distilled_guidance_layer.in_proj.weight": (16, 8),
        "distilled_guidance_layer.layers.0.in_layer.weight": (16, 16),
        "double_blocks.0.img_attn.proj.weight": (16, 16),
    }
    upscaler = {"model.0.weight": (8, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (4, 8, 3, 3)}
    shapes = {"base": SDXL_SHAPES, "refiner": refiner, "flux": FLUX_SHAPES, "chroma": chroma, "up": upscaler}
    for name, one in shapes.items():
        bench.put(name, drawn(0, one))
    for pair in (("base", "refiner"), ("flux", "chroma"), ("a", "base"), ("a", "flux"), ("a", "up")):
        with pytest.raises((IncompatibleError, UnknownModelError)) as caught:
            bench.plan(simple_recipe("weighted-sum", list(pair)))
        assert caught.value.exit_code == 4


def test_equal_but_unknown_layouts_may_be_merged(bench: Bench) -> None:
    one, two = ({"x.weight": torch.full((3, 3), value), "n": torch.tensor(5)} for value in (1.0, 3.0))
    bench.put("one", one)
    bench.put("two", two)
    result = bench.merged(simple_recipe("weighted-sum", ["one", "two"]))
    assert torch.equal(result["x.weight"], torch.full((3, 3), 2.0)) and result["n"] == 5


def test_a_merge_never_replaces_what_it_should_not(bench: Bench) -> None:
    goal = bench.folder / "out.safetensors"
    before = {path.name: path.read_bytes() for path in bench.folder.glob("*.safetensors")}
    with pytest.raises(UsageError, match="one of the models"):
        merge(bench.plan(WS), bench.folder / "b.safetensors", force=True)
    link = bench.folder / "link.safetensors"
    link.symlink_to(bench.folder / "a.safetensors")
    with pytest.raises(UsageError, match="one of the models"):
        merge(bench.plan(WS), link, force=True)
    link.unlink()
    goal.write_text("mine")
    with pytest.raises(FileExistsAlreadyError):
        merge(bench.plan(WS), goal)
    assert goal.read_text() == "mine"
    goal.unlink()

    def stop(event: Event) -> None:
        if event.phase == "writing" and event.done > 3000:
            job.cancel()

    job = Job("merge", stop, interval=0)
    with pytest.raises(CancelledError):
        merge(bench.plan(WS), goal, block=64, job=job)
    assert {
        path.name: path.read_bytes() for path in bench.folder.glob("*") if path.is_file() and path.suffix != ".db"
    } == before


def test_scalars_empty_tensors_fp8_and_large_fp64_merge_and_read_alike(bench: Bench) -> None:
    for seed, name in enumerate(("one", "two")):
        generator = torch.Generator().manual_seed(seed)
        bench.put(
            name,
            {
                "f8": torch.randn(33, generator=generator).to(torch.float8_e4m3fn),
                "f16": torch.randn(7, 3, generator=generator).half(),
                "f64": torch.full((5,), 1e300, dtype=torch.float64) * (seed + 1),
                "empty": torch.zeros(0, 4),
                "scalar": torch.tensor(float(seed)),
                "flag": torch.tensor([True, False]),
            },
        )
    made = bench.plan(simple_recipe("weighted-sum", ["one", "two"], parameters={"alpha": 0.5}))
    goal = bench.folder / "out.safetensors"
    assert merge(made, goal).warnings == (), "1e300 is finite"
    whole, result = goal.read_bytes(), load_file(goal)
    assert all(made.read_range(at, 11) == whole[at : at + 11] for at in range(0, len(whole), 7))
    assert (result["empty"].shape, made.read_bytes("empty"), made.tensor("empty").shape) == ((0, 4), b"", (0, 4))
    assert float(result["scalar"]) == 0.5 and float(result["f64"][0]) == 1.5e300
    one, two = (load_file(bench.folder / f"{name}.safetensors")["f8"].float() for name in ("one", "two"))
    assert torch.equal(result["f8"].float(), ((one + two) / 2).to(torch.float8_e4m3fn).float())


def test_models_and_steps_may_be_named_by_numbers(bench: Bench) -> None:
    text = '[models]\n0 = "a"\n1 = "b"\n[[steps]]\nmethod = "weighted-sum"\ninputs = ["0", "1"]\nalpha = 0.3\n'
    result, expected = bench.merged(parse_recipe(text)), bench.merged(WS)
    assert all(torch.equal(result[name], expected[name]) for name in expected)
    twice = (
        '[models]\nA = "a"\nB = "b"\n[[steps]]\nname = "1"\nmethod = "weighted-sum"\ninputs = ["A", "B"]\nalpha = 0.3\n'
    )
    nothing_more = '[[steps]]\nmethod = "weighted-sum"\ninputs = ["1", "B"]\nalpha = 0.0\n'
    result = bench.merged(parse_recipe(twice + nothing_more))
    assert all(torch.equal(result[name], expected[name]) for name in merged_names(expected))


def test_an_endless_ancestry_is_not_passed_on(bench: Bench) -> None:
    many = json.dumps({f"{number:064x}": {"name": "x" * 100} for number in range(5000)})
    bench.put("heir", checkpoint(3), {"sd_merge_models": many})
    made = bench.plan(simple_recipe("weighted-sum", ["heir", "a"]))
    metadata = made.header.metadata
    kept = len(json.loads(metadata["sd_merge_models"]))
    assert 1000 < kept < 5000 and len(metadata["sd_merge_models"]) < 500_000
    assert metadata["modelhub.ancestry_left_out"] == str(5002 - kept)


def test_a_vae_of_another_build_is_refused_and_one_of_another_architecture_warned_of(bench: Bench) -> None:
    sixteen = {"decoder.conv_in.weight": (8, 16, 3, 3), "decoder.mid.block_1.conv1.weight": (8, 8, 3, 3)}
    bench.put("wide", {n: torch.zeros(s) for n, s in (sixteen | {"encoder.conv_in.weight": (8, 3, 3, 3)}).items()})
    with pytest.raises(IncompatibleError, match="ae-16ch"):
        bench.plan(simple_recipe("weighted-sum", ["a", "b"], vae="wide"))
    linear = {name: shape[:2] if "proj_in" in name else shape for name, shape in SHAPES.items()}
    bench.put("other", checkpoint(5, shapes=linear))
    made = bench.plan(simple_recipe("weighted-sum", ["a", "b"], vae="other"))
    assert made.models["VAE"].identity.architecture not in (None, "sd1")
    assert any("VAE comes from other" in warning for warning in made.report.warnings)
