"""resize: the least error that a rank allows, scales as they were, and what has no ranks left as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bakes import parent
from hypothesis import given, settings
from hypothesis import strategies as st
from making_helper import CONV, DEMO, LINEAR, PIXEL, decaying, header_metadata, kohya, peft, products
from safetensors.numpy import load_file, save_file

from modelhub.errors import CancelledError, CorruptFileError, IncompatibleError, ModelError, UsageError
from modelhub.jobs import Job
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report
from modelhub.lora.making.resize import resize
from modelhub.lora.making.resizing import Wish, plan_resize

rng = np.random.default_rng(4)
Array = np.ndarray[Any, Any]


def n(*shape: int) -> Array:
    return rng.standard_normal(shape)


def run(path: Path, goal: Path, wish: Wish, **options: Any) -> Report:
    return resize(plan_resize(parent(path), wish), goal, **options)


def written(tmp_path: Path, tensors: dict[str, Array], metadata: dict[str, str] | None = None) -> Path:
    path = tmp_path / "lora.safetensors"
    save_file({name: np.array(value, order="C") for name, value in tensors.items()}, path, metadata)
    return path


def best(product: Array, rank: int) -> float:
    """The least error of a rank (Eckart and Young)."""
    return float(np.sqrt((np.linalg.svd(product, compute_uv=False)[rank:] ** 2).sum()))


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_error_is_the_least_that_the_rank_allows(tmp_path: Path, rank: int) -> None:
    tensors = {
        **kohya(LINEAR, n(30, 8), n(8, 20), 4.0),
        **kohya(CONV, n(12, 8, 1, 1), n(8, 5, 3, 3), 8.0),
        **kohya(PIXEL, n(16, 8, 1, 1), n(8, 16, 1, 1)),
    }
    path, goal = written(tmp_path, tensors), tmp_path / "small.safetensors"
    before = products(path)
    report = run(path, goal, Wish(Ranks(rank)))
    after, found = products(goal), load_file(goal)
    for row in report.rows:
        norm, error = np.linalg.norm(before[row.module]), np.linalg.norm(before[row.module] - after[row.module])
        least = best(before[row.module], rank)
        assert row.rank == rank and row.before == 8
        assert abs(error - least) <= 1e-4 * norm
        assert np.sqrt(1 - row.share) * norm == pytest.approx(least, rel=1e-3)
        assert row.energy == pytest.approx(norm**2, rel=1e-4)
    assert {row.module for row in report.rows} == set(before) == set(after)
    assert found[f"{CONV}.lora_down.weight"].shape == (rank, 5, 3, 3)
    assert found[f"{CONV}.lora_up.weight"].shape == (12, rank, 1, 1)
    assert found[f"{LINEAR}.alpha"] == 0.5 * rank, "alpha / rank stays"
    assert f"{PIXEL}.alpha" not in found, "without alpha the scale is 1 before and after"


@settings(max_examples=30)
@given(
    rows=st.integers(1, 12), columns=st.integers(1, 12), old=st.integers(1, 16), new=st.integers(1, 16),
    alpha=st.sampled_from([None, 0.0, 1.0, 3.7]), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_shape_and_rank(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    columns: int,
    old: int,
    new: int,
    alpha: float | None,
    seed: int,
) -> None:
    tmp_path, chance = tmp_path_factory.mktemp("any"), np.random.default_rng(seed)
    tensors = kohya(LINEAR, chance.standard_normal((rows, old)), chance.standard_normal((old, columns)), alpha)
    path, goal = written(tmp_path, tensors), tmp_path / "small.safetensors"
    before = products(path)[LINEAR]
    if old <= min(rows, columns, new):
        with pytest.raises(UsageError, match="no more ranks"):
            run(path, goal, Wish(Ranks(new)))
        return
    run(path, goal, Wish(Ranks(new)))
    after = products(goal)[LINEAR]
    norm = np.linalg.norm(before)
    assert abs(np.linalg.norm(before - after) - best(before, min(new, rows, columns))) <= 1e-4 * norm + 1e-9


def test_to_another_precision_at_the_same_rank_the_product_stays(tmp_path: Path) -> None:
    path = written(tmp_path, kohya(LINEAR, n(30, 8), n(8, 20), 4.0))
    run(path, tmp_path / "half.safetensors", Wish(Ranks(8), "F16"))
    before, after = products(path)[LINEAR], products(tmp_path / "half.safetensors")[LINEAR]
    assert np.linalg.norm(before - after) <= 1e-3 * np.linalg.norm(before)
    assert load_file(tmp_path / "half.safetensors")[f"{LINEAR}.lora_up.weight"].dtype == np.float16


@pytest.mark.parametrize(
    ("rule", "share", "expected"),
    [("energy", 0.9, 1), ("energy", 0.99, 3), ("sv_ratio", 5.0, 2), ("sv_cumulative", 0.9, 4)],
)
def test_ranks_by_rule(tmp_path: Path, rule: str, share: float, expected: int) -> None:
    matrix, values = decaying(40, 30, 2.0, 1)
    left, size, right = np.linalg.svd(matrix, full_matrices=False)
    path = written(tmp_path, kohya(LINEAR, left[:, :10] * size[:10], right[:10]))
    report = run(path, tmp_path / "small.safetensors", Wish(Ranks(64, None, rule, share)))
    values = values[:10]
    assert report.ranks == {expected: 1}
    if rule == "energy":
        assert report.share >= share > (values[: expected - 1] ** 2).sum() / (values**2).sum()


def test_a_core_is_taken_into_the_factors(tmp_path: Path) -> None:
    up, down, mid = n(12, 6, 1, 1), n(6, 5, 1, 1), n(6, 6, 3, 3)
    path = written(tmp_path, {**kohya(CONV, up, down, 3.0), f"{CONV}.lora_mid.weight": mid.astype(np.float32)})
    whole = 0.5 * np.einsum("mnkl,om,ni->oikl", mid, up[..., 0, 0], down[..., 0, 0]).reshape(12, -1)
    run(path, tmp_path / "small.safetensors", Wish(Ranks(3)))
    found = load_file(tmp_path / "small.safetensors")
    assert set(found) == {f"{CONV}.{part}" for part in ("lora_up.weight", "lora_down.weight", "alpha")}
    assert found[f"{CONV}.lora_down.weight"].shape == (3, 5, 3, 3)
    error = np.linalg.norm(whole - products(tmp_path / "small.safetensors")[CONV])
    assert abs(error - best(whole, 3)) <= 1e-4 * np.linalg.norm(whole)


LOHA = {
    f"{LINEAR}.hada_w1_a": n(30, 2), f"{LINEAR}.hada_w1_b": n(2, 20), f"{LINEAR}.hada_w2_a": n(30, 2),
    f"{LINEAR}.hada_w2_b": n(2, 20), f"{LINEAR}.alpha": np.array(1.0),
}  # fmt: skip
OTHERS = {
    "lora_unet_mid_block_attentions_0_proj_in.diff": n(8, 6, 1, 1), "lora_unet_conv_norm_out.w_norm": n(8),
    "lora_unet_conv_norm_out.b_norm": n(8), "bundle_emb.style.string_to_param.*": n(2, 16),
    "lora_unet_conv_in.lora_down.weight": n(4, 4, 3, 3),
}  # fmt: skip


def single(tensors: dict[str, Array]) -> dict[str, Array]:
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def test_what_is_no_product_stays_bit_for_bit_and_is_told(tmp_path: Path) -> None:
    others = {**single(OTHERS), **single(LOHA)}
    path = written(tmp_path, {**kohya(PIXEL, n(16, 8, 1, 1), n(8, 16, 1, 1)), **others})
    report = run(path, tmp_path / "small.safetensors", Wish(Ranks(2)))
    found = load_file(tmp_path / "small.safetensors")
    assert all((found[name] == value).all() for name, value in others.items())
    assert len(report.rows) == 1
    told = {name: why for why, names in report.as_it_was.items() for name in names}
    assert "--convert" in told[LINEAR] and "norm" in told["lora_unet_conv_norm_out"]
    assert "lacks a part" in told["lora_unet_conv_in"]


def test_others_become_lora_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, {**single(OTHERS), **single(LOHA), **kohya(PIXEL, n(16, 8, 1, 1), n(8, 16, 1, 1))})
    run(path, tmp_path / "all.safetensors", Wish(Ranks(4), convert=True))
    found = products(tmp_path / "all.safetensors")
    loha = (LOHA[f"{LINEAR}.hada_w1_a"] @ LOHA[f"{LINEAR}.hada_w1_b"]) * (
        LOHA[f"{LINEAR}.hada_w2_a"] @ LOHA[f"{LINEAR}.hada_w2_b"]
    )
    diff = OTHERS["lora_unet_mid_block_attentions_0_proj_in.diff"].reshape(8, 6)
    assert np.abs(found["lora_unet_mid_block_attentions_0_proj_in"] - _cut(diff, 4)).max() < 1e-4
    names = set(load_file(tmp_path / "all.safetensors"))
    assert LINEAR in found and not [name for name in names if "hada" in name], "rank 2 · 2 at most: nothing is lost"
    assert np.abs(found[LINEAR] - 0.5 * loha).max() < 1e-4


def _cut(matrix: Array, rank: int) -> Array:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def test_of_dora_norms_stay_and_it_is_said(tmp_path: Path) -> None:
    scale = np.abs(n(30, 1)).astype(np.float32)
    path = written(tmp_path, {**kohya(LINEAR, n(30, 8), n(8, 20), 8.0), f"{LINEAR}.dora_scale": scale})
    report = run(path, tmp_path / "small.safetensors", Wish(Ranks(2)))
    assert (load_file(tmp_path / "small.safetensors")[f"{LINEAR}.dora_scale"] == scale).all()
    assert "DoRA" in report.warnings[0]


def test_files_of_peft_keep_their_scale_without_alpha(tmp_path: Path) -> None:
    module = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    settings = json.dumps({"unet.r": 8, "unet.lora_alpha": 2})
    tensors = {**peft(module, n(30, 8), n(8, 20)), f"{module}.lora_B.bias": n(30).astype(np.float32)}
    path, goal = written(tmp_path, tensors, {"lora_adapter_metadata": settings}), tmp_path / "small.safetensors"
    run(path, goal, Wish(Ranks(3)))
    before, found = 0.25 * products(path)[module], load_file(goal)
    assert "lora_adapter_metadata" not in header_metadata(goal) and f"{module}.alpha" not in found
    assert abs(np.linalg.norm(before - products(goal)[module]) - best(before, 3)) <= 1e-4 * np.linalg.norm(before)
    assert np.allclose(found[f"{module}.lora_B.bias"], 0.25 * tensors[f"{module}.lora_B.bias"])


def test_what_a_configuration_says_of_modules_that_stay_stands_in_the_file(tmp_path: Path) -> None:
    loha, lora = "unet.down_blocks.0.attentions.0.proj_in", "unet.down_blocks.0.attentions.0.proj_out"
    parts = {"w1_a": (30, 2), "w1_b": (2, 20), "w2_a": (30, 2), "w2_b": (2, 20)}
    tensors = single({f"{loha}.hada_{part}": n(*shape) for part, shape in parts.items()}) | peft(lora, n(8, 2), n(2, 9))
    lokr = "unet.down_blocks.0.attentions.1.proj_in"  # whole, without a rank: the scale itself is written
    tensors |= single({f"{lokr}.lokr_w1": n(2, 2), f"{lokr}.lokr_w2": n(10, 10)})
    settings = json.dumps({"unet.r": 2, "unet.lora_alpha": 5, "unet.alpha": 5})
    big = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    path = written(tmp_path, {**tensors, **peft(big, n(30, 8), n(8, 20))}, {"lora_adapter_metadata": settings})
    goal = tmp_path / "small.safetensors"
    run(path, goal, Wish(Ranks(3)))
    found = load_file(goal)
    assert "lora_adapter_metadata" not in header_metadata(goal) and found[f"{loha}.alpha"] == 5
    assert found[f"{lokr}.scalar"] == 2.5 and f"{lokr}.alpha" not in found
    assert np.linalg.norm(products(goal)[lora] - 2.5 * products(path)[lora]) < 1e-5 * np.linalg.norm(
        products(goal)[lora]
    )


def test_metadata_say_what_is_true_now(tmp_path: Path) -> None:
    metadata = {
        "ss_network_dim": "8", "ss_network_alpha": "8", "sshs_model_hash": "a" * 64, "ss_tag_frequency": '{"1_x": {"cat": 3}}',
        "ss_network_args": '{"conv_dim": "8", "dropout": "0.1"}', "ss_training_comment": "first try",
    }  # fmt: skip
    tensors = {**kohya(LINEAR, n(30, 8), n(8, 20), 8.0), **kohya(CONV, n(12, 8, 1, 1), n(8, 5, 3, 3), 8.0)}
    path = written(tmp_path, tensors, metadata)
    run(path, tmp_path / "a.safetensors", Wish(Ranks(4, conv=2)), title="small")
    found = header_metadata(tmp_path / "a.safetensors")
    assert (found["ss_network_dim"], found["ss_network_alpha"], found["ss_output_name"]) == ("4", "4", "small")
    assert json.loads(found["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "2", "dropout": "0.1"}
    assert found["ss_tag_frequency"] == metadata["ss_tag_frequency"] and "sshs_model_hash" not in found
    assert found["ss_training_comment"].startswith("first try; ") and "rank 4" in found["ss_training_comment"]


def test_different_ranks_are_called_dynamic(tmp_path: Path) -> None:
    thin = {LINEAR: (2, n(30, 2) @ n(2, 8)), PIXEL: (5, n(30, 5) @ n(5, 8))}
    tensors: dict[str, Array] = {}
    for module, (_, up) in thin.items():
        tensors |= kohya(module, up, n(8, 20), 8.0)
    report = run(written(tmp_path, tensors), tmp_path / "a.safetensors", Wish(Ranks(8, None, "energy", 0.9999999)))
    assert {row.module: row.rank for row in report.rows} == {module: rank for module, (rank, _) in thin.items()}
    found = header_metadata(tmp_path / "a.safetensors")
    assert (found["ss_network_dim"], found["ss_network_alpha"]) == ("Dynamic", "Dynamic")


def test_nothing_to_resize_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, kohya(LINEAR, n(30, 4), n(4, 20)))
    with pytest.raises(UsageError, match="1 module has no more ranks"):
        run(path, tmp_path / "small.safetensors", Wish(Ranks(4)))
    with pytest.raises(IncompatibleError, match="no LoRA"):
        plan_resize(parent(DEMO / "tiny-shapes-pastel-unet.safetensors"), Wish(Ranks(4)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused_by_name(tmp_path: Path, value: float) -> None:
    up = n(30, 8)
    up[2, 3] = value
    path = written(tmp_path, kohya(LINEAR, up, n(8, 20)))
    with pytest.raises(ModelError, match=LINEAR):
        run(path, tmp_path / "small.safetensors", Wish(Ranks(4)))
    assert [one.name for one in tmp_path.iterdir()] == ["lora.safetensors"]


def test_ranks_that_contradict_each_other_are_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, kohya(LINEAR, n(30, 7), n(8, 20)))
    with pytest.raises(CorruptFileError, match=LINEAR):
        run(path, tmp_path / "small.safetensors", Wish(Ranks(4)))


def test_numbers_too_large_for_their_precision_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, kohya(LINEAR, n(30, 8) * 1e12, n(8, 20)))
    report = run(path, tmp_path / "small.safetensors", Wish(Ranks(4), "F16"))
    assert any("too large" in warning and LINEAR[:20] in warning for warning in report.warnings)


def test_no_rank_is_no_module_that_could_be_resized(tmp_path: Path) -> None:
    empty = kohya(PIXEL, np.zeros((16, 0, 1, 1)), np.zeros((0, 16, 1, 1)))
    path = written(tmp_path, {**kohya(LINEAR, n(30, 8), n(8, 20)), **empty})
    report = run(path, tmp_path / "small.safetensors", Wish(Ranks(4)))
    assert [row.module for row in report.rows] == [LINEAR] and [*report.as_it_was.values()] == [(PIXEL,)]


def test_a_file_that_changes_or_a_job_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, kohya(LINEAR, n(30, 8), n(8, 20)))
    plan = plan_resize(parent(path), Wish(Ranks(4)))
    with pytest.raises(UsageError, match="one of the files"):
        resize(plan, path, force=True)
    job = Job("resize", interval=0)
    job.cancel()
    with pytest.raises(CancelledError):
        resize(plan, tmp_path / "small.safetensors", job=job)
    path.write_bytes(path.read_bytes())
    with pytest.raises(CorruptFileError, match="written to while"):
        resize(plan, tmp_path / "small.safetensors", job=Job("resize", interval=0))
    assert [one.name for one in tmp_path.iterdir()] == ["lora.safetensors"]


def test_the_plan_knows_the_size(tmp_path: Path) -> None:
    path = written(tmp_path, {**kohya(PIXEL, n(300, 32, 1, 1), n(32, 200, 1, 1), 8.0), **single(LOHA)})
    plan = plan_resize(parent(path), Wish(Ranks(4)))
    report = resize(plan, tmp_path / "small.safetensors")
    assert report.written.size <= plan.size < path.stat().st_size
    assert plan.as_dict()["ranks"] == {"4": 1}
