"""extract: the difference comes back, whatever the layouts; what is lost is said; what is no difference is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bakes import baked, parent
from making_helper import (
    BASE,
    CONV,
    CONV_TENSOR,
    DEMO,
    LINEAR,
    LINEAR_TENSOR,
    PIXEL,
    PIXEL_TENSOR,
    UNET,
    header_metadata,
    products,
    tuned,
)
from safetensors.numpy import load_file, save_file

from modelhub.errors import CancelledError, IncompatibleError, ModelError, UsageError
from modelhub.formats.safetensors import read_header
from modelhub.jobs import Job
from modelhub.lora.making.extract import Wish, extract, plan_extract
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report

TENSORS = {LINEAR: LINEAR_TENSOR, CONV: CONV_TENSOR, PIXEL: PIXEL_TENSOR}
NORM_TENSOR = "model.diffusion_model.input_blocks.1.0.in_layers.0"
FULL = Ranks(60_000)


def changes(seed: int = 0, size: float = 0.05, rank: int = 0) -> dict[str, np.ndarray]:
    """Something to add to a linear layer, a convolution and one of a pixel; of a low rank if one is given."""
    rng, header = np.random.default_rng(seed), read_header(UNET)
    found = {}
    for tensor in TENSORS.values():
        rows, *rest = header.tensors[tensor].shape
        columns = int(np.prod(rest))
        found[tensor] = size * rng.standard_normal((rows, columns))
        if rank:
            found[tensor] = size * rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    return found


def run(model: Path, base: Path, goal: Path, wish: Wish, job: Job | None = None) -> Report:
    return extract(plan_extract(parent(model), parent(base), wish), goal, **({"job": job} if job else {}))


def test_at_full_rank_the_difference_comes_back(tmp_path: Path) -> None:
    model, goal = tuned(tmp_path, changes()), tmp_path / "lora.safetensors"
    report = run(model, UNET, goal, Wish(FULL, "F32"))
    found, after, before = products(goal), load_file(model), load_file(UNET)
    assert set(found) == set(TENSORS), "layers that are equal are left out"
    for module, tensor in TENSORS.items():
        expected = (after[tensor].astype(np.float64) - before[tensor]).reshape(len(before[tensor]), -1)
        assert np.abs(found[module] - expected).max() < 2e-6 * np.abs(expected).max() * 10
    assert report.share == pytest.approx(1, abs=1e-5) and report.error < 3e-3
    assert report.left_out == 0 and not report.as_it_was
    tensors = load_file(goal)
    down, up = tensors[f"{CONV}.lora_down.weight"], tensors[f"{CONV}.lora_up.weight"]
    assert down.shape == (len(down), *before[CONV_TENSOR].shape[1:]) and up.shape == (*up.shape[:2], 1, 1)
    assert tensors[f"{CONV}.alpha"] == len(down) and tensors[f"{CONV}.alpha"].shape == ()


def test_baked_into_the_base_it_gives_the_tuned_model(tmp_path: Path) -> None:
    """All numbers of the tuned model are fp16, and come back as they are but for those that rounding could turn."""
    model = tuned(tmp_path, changes(rank=6))
    tensors = {name: value.astype(np.float16) for name, value in load_file(model).items()}
    save_file(tensors, model)
    run(model, UNET, tmp_path / "lora.safetensors", Wish(FULL, "F32"))
    view = baked(UNET, (tmp_path / "lora.safetensors", 1.0))
    assert view.stack.changed == set(TENSORS.values())
    for tensor in TENSORS.values():
        made = view.plan.tensor(tensor).numpy()
        assert (made == tensors[tensor]).mean() > 0.99
        apart = np.abs(made.astype(np.float64) - tensors[tensor])
        assert (apart <= np.spacing(np.abs(tensors[tensor])) + 1e-6).all(), "a step of fp16, or an error of fp32"


def test_of_a_low_rank_change_that_rank_is_enough(tmp_path: Path) -> None:
    model, goal = tuned(tmp_path, changes(rank=3)), tmp_path / "lora.safetensors"
    report = run(model, UNET, goal, Wish(Ranks(3), "F32"))
    assert report.ranks == {3: 3} and report.share > 1 - 1e-6
    assert run(model, UNET, tmp_path / "b.safetensors", Wish(Ranks(32, None, "energy", 0.999999), "F32")).ranks == {
        3: 3
    }


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    change = changes(2)
    model, goal = tuned(tmp_path, change), tmp_path / "lora.safetensors"
    report = run(model, UNET, goal, Wish(Ranks(8, conv=4), "F32"))
    assert {row.module: row.rank for row in report.rows} == {LINEAR: 8, PIXEL: 8, CONV: 4}
    made, wanted, lost, whole = products(goal), change, 0.0, 0.0
    for module, tensor in TENSORS.items():
        delta = wanted[tensor].astype(np.float32).astype(np.float64)
        values = np.linalg.svd(delta, compute_uv=False)
        least = (values[4 if module == CONV else 8 :] ** 2).sum()
        error = ((delta - made[module]) ** 2).sum()
        row = next(row for row in report.rows if row.module == module)
        assert least <= error <= 1.05 * least, "a flat spectrum is the worst there is for chance"
        assert 1 - row.share == pytest.approx(error / (delta**2).sum(), rel=1e-2)
        lost, whole = lost + error, whole + (delta**2).sum()
    assert report.error == pytest.approx(np.sqrt(lost / whole), rel=1e-2)
    worst = report.worst
    assert worst is not None and worst.module == CONV
    exact = run(model, UNET, tmp_path / "exact.safetensors", Wish(Ranks(8, conv=4), "F32", exact=True))
    assert exact.share >= report.share - 1e-6


def test_the_same_twice_to_the_byte(tmp_path: Path) -> None:
    model = tuned(tmp_path, changes(3))
    for name in ("one", "two"):
        run(model, UNET, tmp_path / f"{name}.safetensors", Wish(Ranks(4)))
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all((one[name] == two[name]).all() for name in one) and list(one) == list(two)
    assert {value.dtype for value in one.values()} == {np.dtype(np.float16)}


def test_norms_and_biases_are_counted_or_put_beside(tmp_path: Path) -> None:
    header = read_header(UNET)
    bias, norm = CONV_TENSOR.replace("weight", "bias"), f"{NORM_TENSOR}.weight"
    more = {name: np.full(header.tensors[name].shape, 0.5) for name in (bias, norm, f"{NORM_TENSOR}.bias")}
    model = tuned(tmp_path, {**changes(), **more})
    plain = run(model, UNET, tmp_path / "plain.safetensors", Wish(FULL, "F32"))
    numbers = sum(header.tensors[name].numel for name in more)
    whole = numbers * 0.25 + sum((value**2).sum() for value in changes().values())
    assert plain.left_out == pytest.approx(numbers * 0.25 / whole, rel=1e-3)
    full = run(model, UNET, tmp_path / "full.safetensors", Wish(FULL, "F32", full=True))
    assert full.left_out == 0
    view = baked(UNET, (tmp_path / "full.safetensors", 1.0))
    after = load_file(model)
    for name in more:
        assert np.abs(view.plan.tensor(name).numpy().astype(np.float32) - after[name]).max() < 1e-3


def test_names_of_diffusers(tmp_path: Path) -> None:
    model, goal = tuned(tmp_path, changes(rank=2)), tmp_path / "lora.safetensors"
    run(model, UNET, goal, Wish(Ranks(4), "F32", names="peft"))
    found = products(goal)
    assert set(found) == {
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "unet.down_blocks.0.attentions.0.proj_in",
        "unet.down_blocks.0.resnets.0.conv1",
    }
    assert not [name for name in load_file(goal) if name.endswith("alpha")], "the alpha of such files is the rank"
    with pytest.raises(UsageError, match="norms"):
        plan_extract(parent(model), parent(UNET), Wish(Ranks(4), names="peft", full=True))


def test_layouts_may_differ(tmp_path: Path) -> None:
    """The base with names of diffusers, by diffusers' own conversion: the same LoRA comes out."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    model, goal = tuned(tmp_path, changes(rank=2)), tmp_path / "lora.safetensors"
    settings = {"layers_per_block": 2, "class_embed_type": None, "addition_embed_type": None}
    converted = convert_ldm_unet_checkpoint(dict(load_file(UNET)), settings)
    save_file({name: np.array(value, order="C") for name, value in converted.items()}, tmp_path / "base.safetensors")
    run(model, UNET, tmp_path / "same.safetensors", Wish(Ranks(4), "F32"))
    run(model, tmp_path / "base.safetensors", goal, Wish(Ranks(4), "F32"))
    same, found = load_file(tmp_path / "same.safetensors"), load_file(goal)
    assert set(found) == set(same) and all((found[name] == same[name]).all() for name in same)
    with pytest.raises(IncompatibleError, match="Nothing differs"):
        run(tmp_path / "base.safetensors", UNET, tmp_path / "none.safetensors", Wish(Ranks(4)))


def test_components_can_be_chosen_and_one_that_the_base_lacks_is_left_out(tmp_path: Path) -> None:
    te = "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"
    shape = read_header(BASE).tensors[te].shape
    rng = np.random.default_rng(5)
    model = tuned(tmp_path, {te: 0.1 * rng.standard_normal(shape), **changes(rank=2)}, BASE)
    goal = tmp_path / "both.safetensors"
    run(model, BASE, goal, Wish(Ranks(4), "F32"))
    te_module = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert set(products(goal)) == {*TENSORS, te_module}
    run(model, BASE, tmp_path / "te.safetensors", Wish(Ranks(4), "F32", only=("te",)))
    assert set(products(tmp_path / "te.safetensors")) == {te_module}
    plan = plan_extract(parent(model), parent(UNET), Wish(Ranks(4)))
    assert plan.pairing.components == ("unet",) and any("text encoder" in note for note in plan.pairing.notes)
    with pytest.raises(IncompatibleError, match="te2"):
        plan_extract(parent(model), parent(BASE), Wish(Ranks(4), only=("te2",)))


def test_of_an_inpainting_model_only_the_entrance_is_left_out(tmp_path: Path) -> None:
    model = tuned(tmp_path, changes(rank=2))
    tensors, entrance = load_file(model), "model.diffusion_model.input_blocks.0.0.weight"
    save_file({**tensors, entrance: np.zeros((len(tensors[entrance]), 9, 3, 3), np.float32)}, model)
    report = run(model, UNET, tmp_path / "lora.safetensors", Wish(Ranks(2), "F32"))
    assert set(products(tmp_path / "lora.safetensors")) == set(TENSORS)
    assert any("other inputs" in warning and "lora_unet_conv_in" in warning for warning in report.warnings)


def test_layers_below_a_threshold_are_left_out(tmp_path: Path) -> None:
    shape = read_header(UNET).tensors[LINEAR_TENSOR].shape
    model = tuned(tmp_path, {**changes(), LINEAR_TENSOR: np.full(shape, 1e-3)})
    run(model, UNET, tmp_path / "lora.safetensors", Wish(Ranks(2), least=0.01))
    assert set(products(tmp_path / "lora.safetensors")) == {CONV, PIXEL}


def test_metadata_that_other_programs_read(tmp_path: Path) -> None:
    goal = tmp_path / "my lora.safetensors"
    run(tuned(tmp_path, changes(rank=3)), UNET, goal, Wish(Ranks(4)))
    found = header_metadata(goal)
    assert found["ss_network_module"] == "networks.lora" and found["ss_base_model_version"] == "sd_v1"
    assert (found["ss_network_dim"], found["ss_network_alpha"]) == ("4", "4")
    assert json.loads(found["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "4"}
    assert found["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert found["modelspec.title"] == found["ss_output_name"] == "my lora"
    assert found["ss_sd_model_name"] == UNET.name and "ss_new_sd_model_hash" not in found


def test_equal_models_leave_nothing_to_write(tmp_path: Path) -> None:
    goal = tmp_path / "lora.safetensors"
    with pytest.raises(IncompatibleError, match="Nothing differs"):
        run(tuned(tmp_path, {}), UNET, goal, Wish(Ranks(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.safetensors"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused_by_name(tmp_path: Path, value: float) -> None:
    change = changes()
    change[CONV_TENSOR][3, 4] = value
    with pytest.raises(ModelError, match=r"input_blocks\.1\.0\.in_layers\.2\.weight.* tuned or tiny-shapes-pastel"):
        run(tuned(tmp_path, change), UNET, tmp_path / "lora.safetensors", Wish(Ranks(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.safetensors"]


def test_other_sizes_and_what_is_no_model_are_refused_from_headers(tmp_path: Path, tiny_sizes: Path) -> None:
    for model, base, words in (
        (DEMO / "tiny-shapes-framed-lora.safetensors", UNET, "is no model, but of the kind lora"),
        (UNET, DEMO / "tiny-shapes-framed-lora.safetensors", "is no model, but of the kind lora"),
        (UNET, tiny_sizes, r"\[64, 128, 3, 3\] in tiny-shapes-pastel-unet and \[64, 192, 3, 3\] in other"),
    ):
        with pytest.raises(IncompatibleError, match=words):
            plan_extract(parent(model), parent(base), Wish(Ranks(4)))


@pytest.fixture
def tiny_sizes(tmp_path: Path) -> Path:
    """The same U-Net with wider middle levels."""
    tensors = {
        name: np.zeros([192 if size == 128 else size for size in value.shape], np.float16)
        for name, value in load_file(UNET).items()
    }
    save_file(tensors, tmp_path / "other.safetensors")
    return tmp_path / "other.safetensors"


def test_a_plan_says_what_would_come(tmp_path: Path) -> None:
    model = tuned(tmp_path, changes())
    plan = plan_extract(parent(model), parent(UNET), Wish(Ranks(4)))
    said = plan.as_dict()
    assert said["ranks"] == {"4": said["modules"]} and said["components"] == {"unet": said["modules"]}
    report = extract(plan, tmp_path / "lora.safetensors")
    assert report.written.size <= plan.size


def test_the_models_are_never_written_over_and_a_cancelled_job_leaves_nothing(tmp_path: Path) -> None:
    model = tuned(tmp_path, changes())
    plan = plan_extract(parent(model), parent(UNET), Wish(Ranks(4)))
    with pytest.raises(UsageError, match="one of the files"):
        extract(plan, model, force=True)
    job = Job("extract", interval=0)
    job._sink = lambda event: job.cancel() if event.done else None
    with pytest.raises(CancelledError):
        extract(plan, tmp_path / "lora.safetensors", job=job)
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.safetensors"]
