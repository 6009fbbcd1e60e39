"""combine: what comes out adds what goes in, by weights; other dialects, other kinds, and what is no sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bakes import parent
from hypothesis import given, settings
from hypothesis import strategies as st
from making_helper import CONV, LINEAR, PIXEL, Arrays, header_metadata, kohya, peft, products
from safetensors.numpy import load_file, save_file

from modelhub.catalog.keymaps import keymap
from modelhub.catalog.weighing.words import read_weight
from modelhub.errors import BadRecipeError, CancelledError, IncompatibleError, ModelError, UsageError
from modelhub.jobs import Job
from modelhub.lora.making.combine import combine
from modelhub.lora.making.combining import Ingredient, Wish, plan_combine
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report

rng = np.random.default_rng(8)
Array = np.ndarray[Any, Any]
DOTTED = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
TE = "lora_te_text_model_encoder_layers_0_mlp_fc1"
UP = "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_k"


def n(*shape: int) -> Array:
    return rng.standard_normal(shape)


def file(tmp_path: Path, name: str, tensors: Arrays, metadata: dict[str, str] | None = None) -> Path:
    path = tmp_path / f"{name}.safetensors"
    save_file({key: np.array(value, order="C") for key, value in tensors.items()}, path, metadata)
    return path


def run(goal: Path, *loras: tuple[Path, str], wish: Wish | None = None, job: Job | None = None) -> Report:
    ingredients = [Ingredient(parent(path), read_weight(weight)) for path, weight in loras]
    return combine(plan_combine(ingredients, wish or Wish()), goal, **({"job": job} if job else {}))


def sd1(rank: int, alpha: float | None = None, *, linear: str = LINEAR, dtype: Any = np.float32) -> Arrays:
    """A LoRA with a linear layer, a convolution and a pixel of SD 1's sizes."""
    return {
        **kohya(linear, n(320, rank), n(rank, 320), alpha, dtype),
        **kohya(CONV, n(320, rank, 1, 1), n(rank, 320, 3, 3), alpha, dtype),
        **kohya(PIXEL, n(320, rank, 1, 1), n(rank, 320, 1, 1), alpha, dtype),
    }


def close(found: Array, expected: Array, to: float = 1e-6) -> bool:
    return bool(np.linalg.norm(found - expected) <= to * max(1e-30, np.linalg.norm(expected)))


def test_the_sum_is_exact_and_ranks_add_up(tmp_path: Path) -> None:
    one, two = (
        file(tmp_path, "one", sd1(4, 2.0)),
        file(tmp_path, "two", {**sd1(3), **kohya(TE, n(3072, 2), n(2, 768), 1.0)}),
    )
    goal = tmp_path / "both.safetensors"
    report = run(goal, (one, "0.8"), (two, "-0.5"))
    a, b, found = products(one), products(two), products(goal)
    assert set(found) == {*a, *b}
    for module in a:
        assert close(found[module], 0.8 * a[module] - 0.5 * b[module])
    assert close(found[TE], -0.5 * b[TE])
    assert {row.module: row.rank for row in report.rows} == {LINEAR: 7, CONV: 7, PIXEL: 7, TE: 2}
    tensors = load_file(goal)
    assert tensors[f"{CONV}.lora_down.weight"].shape == (7, 320, 3, 3)
    assert tensors[f"{CONV}.lora_up.weight"].shape == (320, 7, 1, 1)
    assert tensors[f"{LINEAR}.alpha"] > 0


@pytest.mark.parametrize("alpha", [1e-45, 1e-6, 3.0])
def test_a_first_of_next_to_no_strength_does_not_blow_up_the_others(tmp_path: Path, alpha: float) -> None:
    one, two = (
        file(tmp_path, "one", sd1(4, alpha, dtype=np.float16)),
        file(tmp_path, "two", sd1(4, 4.0, dtype=np.float16)),
    )
    goal = tmp_path / "both.safetensors"
    assert run(goal, (one, "0.5"), (two, "0.5")).warnings == ()
    a, b, found = products(one), products(two), products(goal)
    for module in a:
        assert close(found[module], 0.5 * (a[module] + b[module]), 2e-3)


@settings(max_examples=20)
@given(
    ranks=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    weights=st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=4, max_size=4),
    alphas=st.lists(st.sampled_from([None, 1.0, 0.25, 7.0, 0.0]), min_size=4, max_size=4),
)
def test_any_number_of_any_rank(
    tmp_path_factory: pytest.TempPathFactory, ranks: list[int], weights: list[float], alphas: list[float | None]
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    loras, expected = [], np.zeros((320, 24))
    for at, rank in enumerate(ranks):
        path = file(tmp_path, f"{at}", kohya(LINEAR, n(320, rank), n(rank, 24), alphas[at]))
        loras.append((path, str(weights[at])))
        expected = expected + weights[at] * products(path)[LINEAR]
    if not any(weights[: len(ranks)]):
        with pytest.raises(IncompatibleError, match="nothing"):
            run(tmp_path / "all.safetensors", *loras)
        return
    run(tmp_path / "all.safetensors", *loras)
    found = products(tmp_path / "all.safetensors")[LINEAR]
    size = sum(abs(w) * np.linalg.norm(products(path)[LINEAR]) for w, (path, _) in zip(weights, loras, strict=False))
    assert np.linalg.norm(found - expected) <= 1e-6 * size + 1e-30


def test_with_a_rank_the_error_is_the_least(tmp_path: Path) -> None:
    one, two = file(tmp_path, "one", sd1(4, 2.0)), file(tmp_path, "two", sd1(3))
    report = run(tmp_path / "both.safetensors", (one, "1"), (two, "0.7"), wish=Wish(Ranks(5)))
    a, b, found = products(one), products(two), products(tmp_path / "both.safetensors")
    for row in report.rows:
        whole = a[row.module] + 0.7 * b[row.module]
        least = np.sqrt((np.linalg.svd(whole, compute_uv=False)[5:] ** 2).sum())
        assert row.rank == 5 and row.before == 7
        assert abs(np.linalg.norm(whole - found[row.module]) - least) <= 1e-4 * np.linalg.norm(whole)
        assert np.sqrt(1 - row.share) * np.linalg.norm(whole) == pytest.approx(least, rel=1e-3)


def test_weights_by_component_and_block(tmp_path: Path) -> None:
    tensors = {**sd1(2), **kohya(TE, n(3072, 2), n(2, 768)), **kohya(UP, n(1280, 2), n(2, 1280))}
    one, goal = file(tmp_path, "one", tensors), tmp_path / "goal.safetensors"
    run(goal, (one, "0.8,te=0.25,OUT03=0,IN01-IN02=0.5"))
    before, found = products(one), products(goal)
    assert set(found) == {LINEAR, CONV, PIXEL, TE}, "of weight 0 nothing is left"
    for module, weight in {LINEAR: 0.5, CONV: 0.5, PIXEL: 0.5, TE: 0.25}.items():
        assert close(found[module], weight * before[module])
    with pytest.raises(BadRecipeError, match="IN99|block"):
        plan_combine([Ingredient(parent(one), read_weight("D05=1"))], Wish())


def test_dialects_may_differ(tmp_path: Path) -> None:
    one = file(tmp_path, "one", sd1(3, 1.0))
    two = file(tmp_path, "two", peft(DOTTED, n(320, 2), n(2, 320)))
    a, b = products(one)[LINEAR], products(two)[DOTTED]
    run(tmp_path / "kohya.safetensors", (one, "1"), (two, "0.5"))
    assert set(products(tmp_path / "kohya.safetensors")) == set(products(one))
    assert close(products(tmp_path / "kohya.safetensors")[LINEAR], a + 0.5 * b)
    run(tmp_path / "peft.safetensors", (two, "0.5"), (one, "1"))
    found = products(tmp_path / "peft.safetensors")
    assert close(found[DOTTED], a + 0.5 * b) and "unet.down_blocks.0.resnets.0.conv1" in found
    run(tmp_path / "asked.safetensors", (one, "1"), (two, "0.5"), wish=Wish(names="peft"))
    assert set(products(tmp_path / "asked.safetensors")) == set(found)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0), (0,)])
def test_scales_that_a_configuration_says_count_once(tmp_path: Path, order: tuple[int, ...]) -> None:
    """PEFT has alpha in a file beside, under names of its own."""
    module = "base_model.model." + DOTTED.removeprefix("unet.")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 6}))
    one = file(tmp_path / "folder", "adapter_model", peft(module, n(320, 2), n(2, 320)))
    two, goal = file(tmp_path, "two", kohya(LINEAR, n(320, 3), n(3, 320), 1.0)), tmp_path / "goal.safetensors"
    adds = [3 * products(one)[module], products(two)[LINEAR]]
    run(goal, *((path, "1") for path in ((one, two)[at] for at in order)))
    (found,) = products(goal).values()
    assert close(found, sum((adds[at] for at in order), np.zeros((320, 320))))


def test_spellings_of_one_dialect_are_one_layer(tmp_path: Path) -> None:
    """SDXL has names of its own code and of diffusers, both with kohya's prefix."""
    known = {target.tensor: target for target in keymap("sdxl").values() if target.component == "denoiser"}
    target = known["model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"]
    native = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    other = "lora_unet_" + target.diffusers.replace(".", "_")
    one = file(tmp_path, "one", kohya(native, n(640, 2), n(2, 2048)))
    two = file(tmp_path, "two", kohya(other, n(640, 3), n(3, 2048)))
    run(tmp_path / "both.safetensors", (one, "1"), (two, "1"))
    found = products(tmp_path / "both.safetensors")
    assert list(found) == [native] and close(found[native], products(one)[native] + products(two)[other])


def test_parts_of_a_fused_layer_and_all_of_it(tmp_path: Path) -> None:
    fused = "lora_unet_double_blocks_0_img_attn_qkv"
    one = file(tmp_path, "one", kohya(fused, n(9216, 2), n(2, 3072), 1.0))
    query, value = (f"transformer.transformer_blocks.0.attn.to_{which}" for which in "qv")
    two = file(tmp_path, "two", {**peft(query, n(3072, 3), n(3, 3072)), **peft(value, n(3072, 1), n(1, 3072))})
    run(tmp_path / "both.safetensors", (one, "1"), (two, "0.5"))
    found, parts = products(tmp_path / "both.safetensors"), products(two)
    expected = products(one)[fused]
    expected[:3072] += 0.5 * parts[query]
    expected[6144:] += 0.5 * parts[value]
    assert list(found) == [fused] and close(found[fused], expected)


def test_loha_and_whole_differences_add_up_too(tmp_path: Path) -> None:
    loha = {f"{LINEAR}.hada_{part}": n(*shape) for part, shape in
            {"w1_a": (320, 2), "w1_b": (2, 320), "w2_a": (320, 2), "w2_b": (2, 320)}.items()}  # fmt: skip
    delta = (loha[f"{LINEAR}.hada_w1_a"] @ loha[f"{LINEAR}.hada_w1_b"]) * (
        loha[f"{LINEAR}.hada_w2_a"] @ loha[f"{LINEAR}.hada_w2_b"]
    )
    whole = {f"{PIXEL}.diff": n(320, 320, 1, 1), f"{PIXEL}.diff_b": n(320), "lora_unet_conv_norm_out.w_norm": n(320)}
    one = file(tmp_path, "one", {**sd1(3, 1.5)})
    two = file(tmp_path, "two", {name: value.astype(np.float32) for name, value in {**loha, **whole}.items()})
    goal = tmp_path / "both.safetensors"
    run(goal, (one, "1"), (two, "0.5"))
    found, tensors, before = products(goal), load_file(goal), products(one)
    assert close(found[LINEAR], before[LINEAR] + 0.5 * delta)
    diff = tensors[f"{PIXEL}.diff"].astype(np.float64)
    assert diff.shape == (320, 320, 1, 1)
    assert close(diff.reshape(320, -1), before[PIXEL] + 0.5 * whole[f"{PIXEL}.diff"].reshape(320, -1))
    assert close(tensors[f"{PIXEL}.diff_b"], 0.5 * whole[f"{PIXEL}.diff_b"])
    assert close(tensors["lora_unet_conv_norm_out.w_norm"], 0.5 * whole["lora_unet_conv_norm_out.w_norm"])


def test_what_is_no_sum_is_refused_unless_it_is_alone(tmp_path: Path) -> None:
    dora = {**kohya(LINEAR, n(320, 2), n(2, 320)), f"{LINEAR}.dora_scale": np.abs(n(320, 1)).astype(np.float32)}
    one, two = file(tmp_path, "one", dora), file(tmp_path, "two", kohya(PIXEL, n(320, 2, 1, 1), n(2, 320, 1, 1)))
    run(tmp_path / "both.safetensors", (one, "1"), (two, "0.5"))
    found = load_file(tmp_path / "both.safetensors")
    assert all((found[name] == value).all() for name, value in dora.items()), "to the bit"
    for weight, other in (("0.5", two), ("1", one)):
        with pytest.raises(IncompatibleError, match="DoRA") as caught:
            run(tmp_path / "no.safetensors", (one, weight), (other, "1"))
        assert "lora bake" in caught.value.hint


def test_bits_of_one_alone_stay(tmp_path: Path) -> None:
    one = file(tmp_path, "one", sd1(4, 2.0, dtype=np.float16))
    run(tmp_path / "half.safetensors", (one, "0.75"))
    before, found = load_file(one), load_file(tmp_path / "half.safetensors")
    factors = [name for name in before if not name.endswith("alpha")]
    assert all(before[name].dtype == found[name].dtype and (before[name] == found[name]).all() for name in factors)
    assert found[f"{LINEAR}.alpha"] == 1.5


def test_the_widest_precision_holds_all(tmp_path: Path) -> None:
    one, two = file(tmp_path, "one", sd1(2, dtype=np.float16)), file(tmp_path, "two", sd1(2, dtype=np.float32))
    run(tmp_path / "a.safetensors", (one, "1"), (two, "1"))
    assert load_file(tmp_path / "a.safetensors")[f"{LINEAR}.lora_up.weight"].dtype == np.float32
    run(tmp_path / "b.safetensors", (one, "1"), (two, "1"), wish=Wish(dtype="F16"))
    assert load_file(tmp_path / "b.safetensors")[f"{LINEAR}.lora_up.weight"].dtype == np.float16


def test_different_bases_and_sizes_are_refused(tmp_path: Path) -> None:
    one = file(tmp_path, "one", sd1(2))
    sdxl = file(
        tmp_path, "sdxl", kohya("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", n(640, 2), n(2, 2048))
    )
    with pytest.raises(IncompatibleError, match="one is for sd1.*sdxl is for sdxl"):
        run(tmp_path / "no.safetensors", (one, "1"), (sdxl, "1"))
    strange, wider = (
        file(tmp_path, f"strange{size}", kohya("lora_unet_some_layer", n(8, 2), n(2, size))) for size in (16, 24)
    )
    run(tmp_path / "both.safetensors", (strange, "0.5"), (strange, "0.5"))
    assert close(
        products(tmp_path / "both.safetensors")["lora_unet_some_layer"], products(strange)["lora_unet_some_layer"]
    )
    with pytest.raises(IncompatibleError, match="some_layer has different sizes"):
        run(tmp_path / "no.safetensors", (strange, "1"), (wider, "1"))
    with pytest.raises(UsageError):
        plan_combine([], Wish())


def test_nan_is_refused_by_name_and_nothing_is_left(tmp_path: Path) -> None:
    up = n(320, 2)
    up[3, 1] = np.nan
    one = file(tmp_path, "one", kohya(LINEAR, up, n(2, 320)))
    with pytest.raises(ModelError, match=LINEAR):
        run(tmp_path / "no.safetensors", (one, "0.5"))
    job = Job("merge", interval=0)
    job.cancel()
    with pytest.raises(CancelledError):
        run(tmp_path / "no.safetensors", (one, "0.5"), job=job)
    with pytest.raises(UsageError, match="one of the files"):
        run(one, (one, "0.5"))
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


def test_metadata_say_what_it_was_made_of(tmp_path: Path) -> None:
    say = {"ss_base_model_version": "sd_v1", "ss_network_module": "networks.lora", "sshs_model_hash": "a" * 64}
    one = file(
        tmp_path, "one", sd1(2), {**say, "ss_tag_frequency": '{"1_a": {"cat": 2}}', "modelspec.trigger_phrase": "cat"}
    )
    two = file(
        tmp_path, "two", sd1(3), {**say, "ss_tag_frequency": '{"1_b": {"dog": 1}}', "modelspec.trigger_phrase": "dog"}
    )
    run(tmp_path / "both.safetensors", (one, "0.8,te=0.5"), (two, "1"))
    found = header_metadata(tmp_path / "both.safetensors")
    assert found["ss_base_model_version"] == "sd_v1" and "sshs_model_hash" not in found
    assert (found["ss_network_dim"], found["modelspec.title"]) == ("5", "both")
    assert json.loads(found["ss_tag_frequency"]) == {"1_a": {"cat": 2}, "1_b": {"dog": 1}}
    assert found["modelspec.trigger_phrase"] == "cat, dog"
    names = [(row["name"], row["weight"]) for row in json.loads(found["modelhub.loras"])]
    assert names == [("one", "te=0.5, 0.8"), ("two", "1")]
