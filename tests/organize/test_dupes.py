"""Duplicates: what is the same is found under every disguise, and what only resembles it is not."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, ModelhubError
from modelhub.formats.opening import read_any_header, stat_of
from modelhub.jobs import Event, Job
from modelhub.organize.dupes import DupesReport, dupes

Tensors = dict[str, torch.Tensor]


def _checkpoint(seed: int = 0) -> Tensors:
    """A checkpoint with the layout of SD 1.5 and few channels, with random weights."""
    path = Path(__file__).parents[1] / "data" / "layouts" / "tiny-shapes-base.json.xz"
    table = json.loads(lzma.decompress(path.read_bytes()))
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * 0.05 for name, (kind, *shape) in table.items() if kind != "I64"
    }


BASE = _checkpoint()
DENOISER, VAE = "model.diffusion_model.", "first_stage_model."


def _cast(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def _part(prefix: str, tensors: Tensors = BASE) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _lora(seed: int, rank: int = 4, dtype: torch.dtype = torch.float16) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    names = [f"lora_unet_down_blocks_{n}_attentions_0_proj_in" for n in range(12)]
    found: Tensors = {}
    for name in names:
        found[f"{name}.lora_down.weight"] = (torch.randn(rank, 64, generator=generator) * 0.05).to(dtype)
        found[f"{name}.lora_up.weight"] = (torch.randn(64, rank, generator=generator) * 0.05).to(dtype)
        found[f"{name}.alpha"] = torch.tensor(float(rank), dtype=dtype)
    return found


@pytest.fixture
def catalog():
    with Catalog.open() as catalog:
        yield catalog


def _identity(path: Path) -> Identity:
    try:
        form, header = read_any_header(path)
    except ModelhubError:
        return Identity(format="unknown")
    return replace(identify(header, name=path.name), format=form)


Find = Callable[..., DupesReport]


@pytest.fixture
def find(catalog: Catalog, tmp_path: Path) -> Find:
    """Put the files of the folder of models into the catalog, each path by itself, and find the duplicates."""

    def call(**options) -> DupesReport:
        for path in (tmp_path / "models").rglob("*.*"):
            catalog.record(path, stat_of(path), _identity(path), "1")
        return dupes(catalog, catalog.find(), **options)

    return call


def _pairs(report: DupesReport, same: str) -> list[tuple[str, str, str]]:
    """(kept, other, relation) of every duplicate."""
    return sorted((g.keep.name, o.asset.name, o.relation) for g in report.groups if g.same == same for o in g.others)


# -- the same bytes ------------------------------------------------------------------------------------------------------


def test_the_same_bytes_are_found_and_only_twins_are_hashed(make_file, find, catalog, tmp_path):
    for name in ("a", "b", "deep/c"):
        make_file(f"models/{name}.safetensors", _lora(1))
    make_file("models/alone.safetensors", _lora(2, rank=8))
    report = find()
    (group,) = report.groups
    assert group.same == "bytes" and group.why == "it came first"
    assert {group.keep.name, *(other.asset.name for other in group.others)} == {f"{n}.safetensors" for n in "abc"}
    assert report.saves == group.saves == 2 * (tmp_path / "models/a.safetensors").stat().st_size
    assert {asset.name for asset in catalog.find() if not asset.sha256} == {"alone.safetensors"}


def test_links_are_no_duplicates(make_file, find, tmp_path):
    path = make_file("models/a.safetensors", _lora(1))
    os.link(path, tmp_path / "models/hard.safetensors")
    (tmp_path / "models/soft.safetensors").symlink_to(path)
    report = find()
    assert report.groups == [] and report.saves == 0


def test_equal_sizes_with_other_bytes_are_no_duplicates(make_file, find):
    make_file("models/a.safetensors", _lora(1))
    make_file("models/b.safetensors", _lora(2))
    assert find().groups == []


def test_what_the_user_cares_for_is_kept(make_file, find, catalog):
    for name in "abc":
        make_file(f"models/{name}.safetensors", _lora(1))
    find()
    number = catalog.named("b")[0].id
    catalog.tag([number], ["good"])
    (group,) = find().groups
    assert group.keep.id == number and "said" in group.why


# -- the same weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "word"),
    [(torch.float16, "fp16"), (torch.bfloat16, "bf16"), (torch.float8_e4m3fn, "fp8"), (torch.float8_e5m2, "fp8-e5m2")],
)
@pytest.mark.parametrize("exact", [False, True])
def test_another_precision(make_file, find, dtype: torch.dtype, word: str, exact: bool):
    make_file("models/full.safetensors", BASE)
    make_file("models/half.safetensors", _cast(BASE, dtype))
    report = find(exact=exact)
    assert _pairs(report, "weights") == [("full.safetensors", "half.safetensors", f"in {word}")]
    (group,) = report.groups
    assert group.why == "it has the finer precision"
    assert "rounding steps apart" in group.others[0].compared
    assert ("all numbers" in group.others[0].compared) == exact


def test_three_precisions_are_one_group(make_file, find, tmp_path):
    make_file("models/a.safetensors", BASE)
    make_file("models/b.safetensors", _cast(BASE, torch.float16))
    make_file("models/c.safetensors", _cast(BASE, torch.bfloat16))
    report = find()
    assert [(keep, other) for keep, other, _ in _pairs(report, "weights")] == [
        ("a.safetensors", "b.safetensors"),
        ("a.safetensors", "c.safetensors"),
    ]
    assert report.saves == sum((tmp_path / f"models/{name}.safetensors").stat().st_size for name in "bc")


def test_a_precision_that_cuts_instead_of_rounding(make_file, find):
    cut = {name: (tensor.view(torch.int32) & -65536).view(torch.float32) for name, tensor in BASE.items()}
    make_file("models/a.safetensors", BASE)
    make_file("models/b.safetensors", _cast(cut, torch.bfloat16))
    assert len(_pairs(find(), "weights")) == 1


def test_other_metadata(make_file, find):
    make_file("models/a.safetensors", _lora(1), {"note": "one"})
    make_file("models/b.safetensors", _lora(1), {"note": "another"})
    assert [relation for _, _, relation in _pairs(find(), "weights")] == ["with other metadata"]


def test_a_pruned_model(make_file, find):
    ema = {
        f"model_ema.{name.removeprefix('model.').replace('.', '')}": 0.9 * tensor
        for name, tensor in _part(DENOISER).items()
    }
    make_file("models/full.safetensors", {**BASE, **ema})
    make_file("models/pruned.safetensors", _cast(_part(DENOISER), torch.float16))
    ((keep, other, relation),) = _pairs(find(), "weights")
    assert (keep, other) == ("full.safetensors", "pruned.safetensors")
    assert relation.startswith("in fp16, without EMA (")
    assert f"VAE ({len(_part(VAE))} tensors)" in relation and "text encoder (" in relation


def test_a_pickle_of_the_same(make_file, find, tmp_path):
    make_file("models/a.safetensors", BASE)
    torch.save({"state_dict": _cast(BASE, torch.float16), "epoch": 3}, tmp_path / "models/b.ckpt")
    assert _pairs(find(), "weights") == [("a.safetensors", "b.ckpt", "in fp16, as pickle")]


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "model.diffusion_model."])
def test_another_prefix(make_file, find, prefix: str):
    bare = {prefix + name.removeprefix(DENOISER): tensor for name, tensor in _part(DENOISER).items()}
    make_file("models/full.safetensors", BASE)
    make_file("models/unet.safetensors", bare)
    ((keep, other, relation),) = _pairs(find(), "weights")
    assert (keep, other) == ("full.safetensors", "unet.safetensors")
    assert ("under other names" in relation) == (prefix != DENOISER)


def test_a_finer_precision_that_holds_nothing_more_is_no_loss(make_file, find, catalog):
    half = _cast(BASE, torch.float16)
    make_file("models/a.safetensors", half)
    make_file("models/b.safetensors", _cast(half, torch.float32))
    find()
    catalog.rate(catalog.named("a")[0].id, 4)
    (group,) = find().groups
    assert (group.keep.name, group.others[0].loses) == ("a.safetensors", "")
    assert "all equal" in group.others[0].compared


def test_the_loss_is_said(make_file, find, catalog):
    make_file("models/full.safetensors", BASE)
    make_file("models/pruned.safetensors", _cast(_part(DENOISER), torch.float16))
    find()
    catalog.rate(catalog.named("pruned")[0].id, 5)
    (group,) = find().groups
    assert group.keep.name == "pruned.safetensors"
    assert "precision of fp32" in group.others[0].loses and "VAE" in group.others[0].loses


# -- what is not the same ------------------------------------------------------------------------------------------------


def _changed(change: Callable[[str, torch.Tensor], torch.Tensor], tensors: Tensors = BASE) -> Tensors:
    return {name: change(name, tensor) for name, tensor in tensors.items()}


OTHER = _checkpoint(1)
IMPOSTORS = {
    "other weights": OTHER,
    "a merge": _changed(lambda name, tensor: 0.9 * tensor + 0.1 * OTHER[name]),
    "a weak merge": _changed(lambda name, tensor: tensor + 0.001 * OTHER[name]),
    "other denoiser": {**BASE, **_part(DENOISER, OTHER)},
    "merge of one block": {**BASE, **_part(f"{DENOISER}output_blocks.", OTHER)},
    "one tensor changed": {
        **BASE, f"{DENOISER}out.2.weight": BASE[f"{DENOISER}out.2.weight"] * 1.01
    },
    "other VAE": {**BASE, **_part(VAE, OTHER)},
    "vae alone": _part(VAE),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", IMPOSTORS)
def test_what_shares_much_is_not_the_same(make_file, find, name: str, dtype: torch.dtype):
    make_file("models/base.safetensors", BASE)
    make_file("models/other.safetensors", _cast(IMPOSTORS[name], dtype))
    assert find().groups == []


def test_loras_of_one_layout_are_told_apart(make_file, find):
    for seed in range(20):
        make_file(f"models/{seed}.safetensors", _lora(seed))
    make_file("models/again.safetensors", _lora(7), {"note": "the seventh"})
    report = find()
    assert len(report.groups) == 1
    assert {report.groups[0].keep.name, report.groups[0].others[0].asset.name} == {"7.safetensors", "again.safetensors"}


def test_fresh_models_without_training_are_not_the_same(make_file, find):
    for number in range(3):
        make_file(f"models/{number}.safetensors", _changed(lambda _, t: torch.zeros_like(t)), {"n": str(number)})
    assert find().groups == []


def test_exact_finds_one_number(make_file, find):
    name = f"{DENOISER}input_blocks.1.0.in_layers.2.weight"
    changed = {**BASE, name: BASE[name].clone()}
    changed[name].view(-1)[777] += 0.5
    make_file("models/a.safetensors", BASE)
    make_file("models/b.safetensors", _cast(changed, torch.float16))
    assert find(exact=True).groups == []


# -- the catalog keeps what was read -------------------------------------------------------------------------------------


def test_a_second_search_reads_no_samples_and_a_changed_file_is_sampled_again(make_file, find, catalog, monkeypatch):
    import modelhub.organize.dupes as module

    sampled: list[int] = []
    real = module.sketch
    monkeypatch.setattr(module, "sketch", lambda *words: sampled.append(1) or real(*words))
    make_file("models/a.safetensors", _lora(1), {"n": "1"})
    make_file("models/b.safetensors", _lora(1), {"n": "2"})
    assert len(find().groups) == 1 and len(sampled) == 2
    assert len(find().groups) == 1 and len(sampled) == 2
    make_file("models/b.safetensors", _lora(2), {"n": "23"})
    assert len(find().groups) == 0 and len(sampled) == 3


def test_files_that_are_gone_or_changed_since_the_scan_are_left_out(make_file, find, catalog, tmp_path):
    for name in "abcd":
        make_file(f"models/{name}.safetensors", _lora(1))
    find()
    (tmp_path / "models/a.safetensors").unlink()
    make_file("models/b.safetensors", _lora(2))
    report = dupes(catalog, catalog.find())
    assert sorted(asset.name for asset, _ in report.skipped) == ["a.safetensors", "b.safetensors"]
    assert any("scan again" in reason for _, reason in report.skipped)
    assert len(report.groups) == 1 and len(report.groups[0].others) == 1


def test_a_damaged_file_does_not_stop_the_search(make_file, find, tmp_path):
    for name in "ab":
        make_file(f"models/{name}.safetensors", _lora(1), {"n": name})
    (tmp_path / "models/broken.safetensors").write_bytes(b"\x10" + bytes(7) + b"{" + bytes(30))
    (tmp_path / "models/empty.safetensors").touch()
    (tmp_path / "models/none.safetensors").touch()
    report = find()
    assert len([group for group in report.groups if group.same == "weights"]) == 1


def test_it_can_be_stopped(make_file, find, catalog):
    for name in "ab":
        make_file(f"models/{name}.safetensors", _lora(1), {"n": name})
    find()
    job = Job("dupes", lambda event: job.cancel() if event.phase == "sampling" else None)
    with pytest.raises(CancelledError):
        dupes(catalog, catalog.find(), job=job)


def test_progress_has_totals(make_file, find):
    for name in "ab":
        make_file(f"models/{name}.safetensors", _lora(1), {"n": name})
    events: list[Event] = []
    find(job=Job("dupes", events.append, interval=0.0))
    phases = {event.phase: (event.done, event.total) for event in events}
    assert phases["sampling"] == phases["comparing"] == (2, 2)


def test_json_has_plain_values(make_file, find):
    make_file("models/a.safetensors", BASE)
    make_file("models/b.safetensors", _cast(BASE, torch.float16))
    data = json.loads(json.dumps(find().as_dict()))
    assert list(data) == ["assets", "groups", "saves", "skipped"]
    (group,) = data["groups"]
    assert set(group) == {"same", "keep", "others", "saves"}
    assert set(group["others"][0]) == {"id", "path", "size", "relation", "loses", "compared"}
    assert np.isclose(group["saves"], data["saves"])
