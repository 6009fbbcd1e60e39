"""Repair: what is damaged is found, what can be mended is mended, and nothing else changes."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from small_models import DENOISER, Zeros, filled, floats, known, layout, narrow, opened

from modelhub.catalog.belonging import belonging
from modelhub.convert.conversion import carry_out
from modelhub.convert.repair.completeness import completeness
from modelhub.convert.repair.donor import Donor
from modelhub.convert.repair.repairing import repair
from modelhub.errors import CorruptFileError, IncompatibleError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.watching import stats_of
from modelhub.jobs import Job

TE = "cond_stage_model.transformer.text_model."
IDS = TE + "embeddings.position_ids"


def mended(tensors, **options):
    source = opened(tensors)
    return repair(source, known(source), **options)


def codes(found):
    return [problem.code for problem in found.problems]


def with_numbers(tensors, name, *numbers):
    """`tensors` with the first elements of one replaced."""
    dtype, shape, raw = tensors[name]
    kind = {"F32": "<f4", "F16": "<f2"}[dtype]
    values = np.frombuffer(raw, kind).copy()
    values[: len(numbers)] = numbers
    return tensors | {name: (dtype, shape, values.tobytes())}


def positions(values, kind="<f4"):
    dtype = {"<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "i1": "I8"}[kind]
    return dtype, np.shape(values), np.asarray(values, kind).tobytes()


def test_a_sound_model_has_nothing_to_repair():
    source = opened(narrow("sd15"), {"modelspec.hash_sha256": "0xab"})
    found = repair(source, known(source))
    assert (found.healthy, found.mends, found.problems) == (True, False, [])
    assert found.conversion.view is source


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (positions(np.arange(77)[None] * 0.99997), "76 of 77 values are wrong, stored as F32"),
        (positions(np.arange(77)[None], "<f2"), "stored as F16"),
        (positions(np.minimum(np.arange(77), 75)[None], "<i8"), "1 of 77 values are wrong"),
        (positions(np.arange(76)[None], "<i8"), "its shape is [1, 76]"),
        (positions(np.zeros((1, 77)), "<i8"), "76 of 77 values are wrong"),
        (positions(np.stack([np.arange(77)] * 2), "<i8"), "position_ids: its shape is [2, 77]"),
    ],
)
def test_position_ids_become_what_they_should_be(tmp_path, value, words):
    from safetensors.torch import load_file

    tensors = narrow("sd15") | {IDS: value}
    found = mended(tensors)
    assert codes(found) == ["position-ids"]
    assert words in found.problems[0].sentence
    written = load_file(carry_out(found.conversion, tmp_path / "a.safetensors").written.path)
    import torch

    assert torch.equal(written[IDS], torch.arange(77)[None])
    assert all(found.conversion.view.read_bytes(name) == raw for name, (_, _, raw) in tensors.items() if name != IDS)


@pytest.mark.parametrize(
    "value",
    [positions(np.arange(77)[None], "<i4"), positions(np.arange(77), "<i8"), positions(np.arange(77)[None], "i1")],
)
def test_position_ids_that_programs_read_are_left_alone(value):
    assert mended(narrow("sd15") | {IDS: value}).healthy


def test_position_ids_of_sdxl_and_of_vision_encoders():
    name = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"
    found = mended(narrow("sdxl") | {name: positions(np.zeros((1, 77)), "<i8")})
    assert found.problems[0].names == (name,)
    vision = "vision_model.embeddings.position_"
    tensors = filled({vision + "embedding.weight": ("F16", (257, 8))}) | {vision + "ids": positions(np.zeros((1, 257)))}
    found = mended(tensors)
    assert floats(found.conversion.view, vision + "ids").tolist() == list(range(257))


def test_numbers_that_are_none_are_counted_and_left_unless_told():
    tensors = with_numbers(narrow("sd15"), DENOISER + "out.2.weight", np.nan, np.inf, np.inf, -np.inf)
    found = mended(tensors)
    assert codes(found) == ["not-finite"]
    assert "1 NaN, 2 +infinite, 1 -infinite in 1 tensor" in found.problems[0].sentence
    assert not found.mends and not found.healthy
    assert not found.conversion.changes


def test_a_file_that_changes_while_it_is_checked_is_an_error(tmp_path, make_file):
    path = make_file(tmp_path / "a.safetensors", {"w": np.ones(100, np.float32)})
    job = Job("repair", lambda event: os.truncate(path, 400) if event.phase == "checking" and event.done else None)
    with SafetensorsFile(path) as source, pytest.raises(CorruptFileError, match="written to"):
        carry_out(repair(source, known(source), stats=stats_of([path]), job=job).conversion, tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_zero_puts_zeros_in_their_place():
    name = DENOISER + "out.2.weight"
    tensors = with_numbers(narrow("sd15"), name, np.nan, 2.0, -np.inf)
    found = mended(tensors, zero=True)
    values = floats(found.conversion.view, name)
    assert values[:3].tolist() == [0.0, 2.0, 0.0]
    assert values[3:].tolist() == np.frombuffer(tensors[name][2], "<f4")[3:].tolist()
    assert repair(found.conversion.view, known(found.conversion.view)).healthy


def test_a_donor_gives_whole_tensors_in_the_precision_that_is_wanted():
    name = DENOISER + "out.2.weight"
    tensors = with_numbers(narrow("sdxl"), name, np.nan)
    other = {DENOISER + n.removeprefix(DENOISER): (d, s) for n, (d, s, _) in narrow("sdxl").items()}
    whole = filled({n: ("F32" if d == "F16" else d, s) for n, (d, s) in other.items()}, seed=5)
    found = mended(tensors, donor=Donor(opened(whole), "original"), zero=True)
    assert found.problems[0].mended == "taken from original"
    view = found.conversion.view
    assert view.info(name).dtype == "F16"
    assert floats(view, name).tolist() == np.frombuffer(whole[name][2], "<f4").astype("<f2").tolist()
    assert json.loads(view.header.metadata["modelhub.repaired"]) == {"not-finite": 1}


def test_a_donor_that_is_damaged_there_itself_is_no_help():
    name = DENOISER + "out.2.weight"
    tensors = with_numbers(narrow("sd15"), name, np.nan)
    found = mended(tensors, donor=Donor(opened(tensors), "twin"))
    assert [problem.mended for problem in found.problems] == [""]


def test_a_donor_under_another_prefix_is_understood():
    name = DENOISER + "out.2.weight"
    tensors = with_numbers(narrow("sd15"), name, np.nan)
    bare = {n.removeprefix(DENOISER): e for n, e in narrow("sd15").items() if n.startswith(DENOISER)}
    found = mended(tensors, donor=Donor(opened(bare), "unet"))
    assert found.conversion.view.read_bytes(name) == bare["out.2.weight"][2]


def test_a_donor_of_another_architecture_is_refused():
    with pytest.raises(IncompatibleError, match=r"lora has no component of the same build"):
        mended(narrow("sd15"), donor=Donor(Zeros(layout("lora-sd15-kohya")), "lora"))
    bare = layout("flux-dev")
    with pytest.raises(IncompatibleError, match="flux1"):
        mended(narrow("sd15"), donor=Donor(Zeros(bare), "flux"))


def test_infinite_numbers_of_a_noise_schedule_are_no_damage():
    raw = np.full(1000, np.inf, "<f4").tobytes()
    assert mended(narrow("sd15") | {"sqrt_recip_alphas_cumprod": ("F32", (1000,), raw)}).healthy


def test_remarks_on_clipped_and_dead_weights():
    name = DENOISER + "out.2.weight"
    tensors = with_numbers(narrow("sdxl"), name, 65504, -65504)
    dead = DENOISER + "middle_block.0.in_layers.2.weight"
    dtype, shape, raw = tensors[dead]
    found = mended(tensors | {dead: (dtype, shape, bytes(len(raw)))})
    assert found.healthy
    assert any(text.startswith("2 numbers at the largest") and name in text for text in found.notes)
    assert any(text.startswith("1 weight all 0") and dead in text for text in found.notes)


def test_old_names_of_clip_become_those_of_today():
    tensors = narrow("sd15")
    old = {name.replace(".transformer.text_model.", ".transformer."): entry for name, entry in tensors.items()}
    found = mended(old)
    assert codes(found) == ["old-names"]
    view = found.conversion.view
    assert view.header.tensors.keys() == tensors.keys()
    assert all(view.read_bytes(name) == raw for name, (_, _, raw) in tensors.items())


def test_each_tensor_is_told_of_once_with_its_size():
    """Also one that is renamed, counted anew and set to 0."""
    tensors = with_numbers(narrow("sd15"), TE + "final_layer_norm.bias", np.nan) | {IDS: positions(np.ones((1, 77)))}
    old = {name.replace("transformer.text_model.", "transformer."): entry for name, entry in tensors.items()}
    found = mended(old, zero=True)
    told = [name for one in found.conversion.parts for name in one.names]
    assert sorted(name.replace("transformer.text_model.", "transformer.") for name in told) == sorted(old)
    assert sum(one.size for one in found.conversion.parts) == sum(len(raw) for _, _, raw in old.values())


def test_an_old_name_beside_the_new_one_stays():
    tensors = narrow("sd15")
    twin = "cond_stage_model.transformer.final_layer_norm.bias"
    tensors[twin] = tensors[TE + "final_layer_norm.bias"]
    found = mended(tensors)
    assert found.healthy
    assert twin in found.conversion.view.header.tensors


def test_all_kinds_of_damage_at_once():
    tensors = with_numbers(narrow("sd15"), TE + "final_layer_norm.weight", np.nan)
    tensors |= {IDS: positions(np.zeros((1, 77)))}
    old = {name.replace(".transformer.text_model.", ".transformer."): entry for name, entry in tensors.items()}
    found = mended(old, zero=True)
    assert codes(found) == ["old-names", "position-ids", "not-finite"]
    view = found.conversion.view
    assert repair(view, known(view)).healthy
    assert floats(view, TE + "final_layer_norm.weight")[0] == 0
    assert floats(view, IDS).tolist() == list(range(77))


def compared(entries):
    source = Zeros(entries)
    identity = known(source)
    where = belonging(source.header, identity)
    return {one.role: completeness(one, source.header) for one in where.owned}


def without(entries, *names):
    assert all(name in entries for name in names)
    return {name: entry for name, entry in entries.items() if name not in names}


@pytest.mark.parametrize(
    "name", ["sd15", "sd21", "sdxl", "sd3-medium", "flux-dev", "flux-schnell", "vae-sd", "vae-flux", "clip-l", "t5xxl"]
)
def test_released_models_are_whole(name):
    for found in compared(layout(name)).values():
        assert (found.compared, found.missing, found.misshapen, found.note) == (True, {}, {}, "")


def test_missing_tensors_are_named():
    gone = [DENOISER + "out.2.weight", "first_stage_model.decoder.conv_in.bias", TE + "final_layer_norm.bias"]
    found = compared(without(layout("sd15"), *gone))
    assert [list(one.missing) for one in found.values()] == [[gone[0]], [gone[2]], [gone[1]]]


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("sd15", DENOISER + "input_blocks.0.0.weight"),
        ("sd15", TE + "encoder.layers.0.mlp.fc1.weight"),
        ("sd21", "cond_stage_model.model.transformer.resblocks.22.mlp.c_fc.weight"),
        ("sdxl", DENOISER + "label_emb.0.0.weight"),
        ("sdxl", "conditioner.embedders.1.model.token_embedding.weight"),
        ("sdxl", "first_stage_model.decoder.conv_in.weight"),
        ("vae-flux", "decoder.conv_in.weight"),
        ("flux-dev", "double_blocks.0.img_attn.qkv.weight"),
        ("flux-dev", "guidance_in.in_layer.weight"),
        ("flux-dev", "guidance_in.out_layer.bias"),
    ],
)
def test_the_very_tensor_that_tells_a_network_may_be_the_missing_one(name, gone, monkeypatch):
    monkeypatch.setattr(
        "modelhub.convert.repair.repairing.examine", lambda *_: {}
    )  # numbers are not what this is about
    source = Zeros(without(layout(name), gone))
    found = repair(source, known(source))
    assert [problem.names for problem in found.problems if problem.code == "missing"] == [(gone,)]


def test_files_that_nothing_is_known_of_are_not_called_sound():
    found = mended(filled({"some.weight": ("F32", (8, 8)), "other.bias": ("F32", (8,))}))
    assert found.notes == ["file: not compared: there is no list of its tensors"]


@pytest.mark.parametrize("channels", [8, 9])
def test_variants_by_their_input_are_whole(channels):
    entries = layout("sd15") | {DENOISER + "input_blocks.0.0.weight": ("F16", (320, channels, 3, 3))}
    assert compared(entries)["denoiser"].misshapen == {}


def test_misshapen_tensors_are_named():
    name = DENOISER + "out.2.bias"
    found = compared(layout("sd15") | {name: ("F16", (5,))})["denoiser"]
    assert {n: shape for n, (shape, _) in found.misshapen.items()} == {name: (5,)}


def test_what_good_files_lack_is_not_missing():
    entries = without(
        layout("sdxl"), "conditioner.embedders.1.model.logit_scale", "conditioner.embedders.1.model.text_projection"
    )
    entries = without(entries, "conditioner.embedders.0.transformer.text_model.embeddings.position_ids")
    assert all(not one.missing for one in compared(entries).values())


@pytest.mark.parametrize(
    ("entries", "role", "words"),
    [
        (lambda: layout("tiny-shapes-base"), "denoiser", "another width"),
        (lambda: {n: e for n, e in layout("sdxl").items() if ".transformer_blocks.0." in n or ".transformer_blocks." not in n}, "denoiser", "smaller network"),
    ],
)  # fmt: skip
def test_smaller_networks_are_not_called_broken(entries, role, words):
    found = compared(entries())[role]
    assert words in found.note
    assert (found.compared, found.missing, found.misshapen) == (False, {}, {})


def test_fewer_blocks_at_the_end_are_said_and_a_hole_is_missing():
    entries = {
        n: e for n, e in layout("flux-dev").items() if not n.startswith(("single_blocks.36.", "single_blocks.37."))
    }
    found = compared(entries)["denoiser"]
    assert (found.missing, found.note) == ({}, "has the first 36 of single_blocks")
    entries = {n: e for n, e in layout("flux-dev").items() if not n.startswith("single_blocks.5.")}
    found = compared(entries)["denoiser"]
    assert (len(found.missing), found.note) == (8, "")


def test_missing_and_misshapen_tensors_come_from_a_donor():
    whole = layout("vae-sd")
    gone, wrong = "decoder.conv_in.bias", "decoder.conv_out.bias"
    value = np.arange(512).astype("<f4").tobytes()
    donor = Zeros({name: ("F32", shape) for name, (_, shape) in whole.items()}, {gone: value})
    entries = {name: ("F16", shape) for name, (_, shape) in without(whole, gone).items()} | {wrong: ("F16", (7,))}
    source = Zeros(entries)
    alone = repair(source, known(source))
    assert codes(alone) == ["missing", "misshapen"] and not alone.mends
    found = repair(source, known(source), donor=Donor(donor, "original"))
    assert [(p.code, p.names, p.mended) for p in found.problems] == [
        ("missing", (gone,), "taken from original"),
        ("misshapen", (wrong,), "taken from original"),
    ]
    view = found.conversion.view
    assert view.info(wrong).shape == (3,)
    assert floats(view, gone).tolist() == list(map(float, range(512)))
    assert view.info(gone).dtype == "F16"
    assert {(one.action, len(one.names)) for one in found.conversion.parts} >= {("add", 1), ("change", 1)}


def test_a_checkpoint_without_vae_is_said_not_broken():
    tensors = {name: entry for name, entry in narrow("sd15").items() if not name.startswith("first_stage_model.")}
    found = mended(tensors)
    assert found.healthy
    assert any("no VAE" in text for text in found.notes)


def test_hashes_in_the_metadata_go_only_when_something_is_mended():
    source = opened(narrow("sd15") | {IDS: positions(np.zeros((1, 77)))}, {"sshs_model_hash": "ab", "a": "b"})
    found = repair(source, known(source))
    assert found.conversion.view.header.metadata.keys() == {"a", "format", "modelhub.repaired"}
    assert any("sshs_model_hash" in text for text in found.conversion.warnings)
