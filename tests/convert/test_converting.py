"""convert: what any source becomes as safetensors, against what torch itself reads from it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pickled import Makes, bytes_of, deflated, flip, layout, plain_pickle, same

from modelhub.catalog.identify import identify
from modelhub.convert.conversion import ConversionReport, carry_out
from modelhub.convert.converting import Options, goal_for, planned
from modelhub.convert.one import Wish, convert_file
from modelhub.errors import (
    CancelledError,
    CorruptFileError,
    FileError,
    IncompatibleError,
    ModelhubError,
    UnsafePickleError,
    UsageError,
)
from modelhub.formats.opening import read_any_header
from modelhub.formats.safetensors import read_header
from modelhub.jobs import Event, Job


def to_file(source: Path, goal: Path, **wishes: Any) -> ConversionReport:
    return convert_file(source, goal, Wish(Options(**wishes))).report


def reads(source: Path) -> Any:
    import torch

    return torch.load(source, map_location="cpu", weights_only=False)


# -- bit for bit -------------------------------------------------------------------------------------------------------


@pytest.fixture
def odd(torch) -> dict[str, Any]:
    """Tensors of every dtype and memory layout that safetensors can hold."""
    base = torch.randn(6, 8)
    dtypes = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "float8_e4m3fn")
    cast = {f"cast.{name}": (base * 9).to(getattr(torch, name)) for name in dtypes}
    return {
        "plain": base, "turned": base.t(), "a slice": base[2:5, 1:7], "steps": base[::2, ::3], "one": torch.tensor(3.5),
        "empty": torch.zeros(0, 4), "spread": torch.ones(3, 1).expand(3, 5), "tied": base, "truth": base > 0,
        "channels": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "nan": torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45]), "ünïcode": base[0], **cast,
    }  # fmt: skip


@pytest.mark.parametrize("container", ["zip", "legacy", "deflated", "wrapped", "ordered"])
def test_every_tensor_is_what_torch_reads(container, odd, torch, tmp_path):
    path, goal = tmp_path / "x.ckpt", tmp_path / "x.safetensors"
    if container == "legacy":
        del odd["cast.float8_e4m3fn"]  # torch writes it so, and cannot read it again
    value = {"wrapped": {"state_dict": odd, "epoch": 3}, "ordered": OrderedDict(odd)}.get(container, odd)
    torch.save(value, path, _use_new_zipfile_serialization=container != "legacy")
    if container == "deflated":
        path = deflated(path, tmp_path / "packed.pt")
    report = to_file(path, goal)
    loaded = reads(path)
    same(goal, loaded.get("state_dict", loaded))
    parts = report.conversion.parts
    assert [(one.action, one.what) for one in parts] == [("keep", "markers"), ("keep", "weights")]
    assert sorted(name for one in parts for name in one.names) == sorted(odd)
    metadata = read_header(goal).metadata
    assert metadata["format"] == "pt" and metadata["modelhub.source"] == path.name
    assert metadata["modelhub.source_format"] == f"pickle {'legacy' if container == 'legacy' else 'zip'}"
    assert not {"pickle.root", "pickle.container"} & set(metadata)
    assert ["plain", "tied"] in json.loads(metadata["modelhub.tied"])


def test_numpy_arrays_in_a_plain_pickle(tmp_path):
    arrays = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.asfortranarray(np.ones((3, 4), "<f2"))}
    path = plain_pickle(tmp_path / "x.pkl", arrays)
    to_file(path, goal := tmp_path / "x.safetensors")
    from safetensors.numpy import load_file

    found = load_file(goal)
    assert {name: value.tobytes() for name, value in found.items()} == {n: a.tobytes() for n, a in arrays.items()}


def test_what_a_training_left_is_told_and_numbers_are_kept(torch, tmp_path):
    path, goal = tmp_path / "x.ckpt", tmp_path / "x.safetensors"
    state = {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(1.0)}}}
    torch.save(
        {"state_dict": {"w": torch.ones(2)}, "epoch": 3, "global_step": 840000, "optimizer_states": [state]}, path
    )
    report = to_file(path, goal)
    assert any("optimizer_states" in finding for finding in report.conversion.findings)
    metadata = read_header(goal).metadata
    assert (metadata["pickle.epoch"], metadata["pickle.global_step"]) == ("3", "840000")
    same(goal, {"w": torch.ones(2)})


# -- the same model before and after -----------------------------------------------------------------------------------

_KINDS = (
    "sd15", "sd21", "sdxl", "sd3-medium", "flux-dev", "vae-sd", "vae-flux", "controlnet-sd15", "lora-sd15-kohya",
    "lora-flux-diffusers", "loha-sd15", "lokr-sdxl", "clip-l", "t5xxl", "upscaler-realesrgan-x4plus",
    "upscaler-esrgan-old-x4", "upscaler-compact-general-x4v3",
)  # fmt: skip
_MORE = {
    "hypernetwork": {f"768.{n}.linear.0.{part}": ("F32", shape) for n in (0, 1) for part, shape in (("weight", (1536, 768)), ("bias", (1536,)))},
    "motion module": {
        f"{side}_blocks.{at}.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.{layer}": ("F16", shape)
        for side, at, width in (("down", 0, 320), ("down", 1, 640), ("down", 2, 1280), ("down", 3, 1280), ("up", 0, 1280))
        for layer, shape in (("to_q.weight", (width, width)), ("pos_encoder.pe", (1, 24, width)))
    },
    "embedding": {"<token>": ("F32", (4, 768))},
    "sdxl embedding": {"clip_l": ("F32", (4, 768)), "clip_g": ("F32", (4, 1280))},
    "v-pred marker": {**layout("sdxl"), "v_pred": ("F32", (0,)), "ztsnr": ("F32", (0,))},
}  # fmt: skip


@pytest.mark.parametrize("kind", [*_KINDS, *_MORE])
def test_the_result_is_identified_as_the_source_is(kind, torch, tmp_path):
    """Of released layouts: one number stands for each tensor, so that nothing is large."""
    dtypes = {
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "F64": torch.float64,
    }
    one = {name: torch.ones(1, dtype=dtype) for name, dtype in dtypes.items()}
    tensors = {
        name: one[d].expand(s or ()) if s else one[d][0] for name, (d, s) in (_MORE.get(kind) or layout(kind)).items()
    }
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": tensors, "global_step": 110000}, path)
    with planned(path, Options(max_output=10**12)) as conversion:
        before = identify(conversion.view.header, name=path.name, form="pickle")
        after = identify(conversion.view.header, name="model.safetensors")
        own = sum(len(part.names) for part in conversion.parts)
        assert own == len(conversion.view.header.tensors), "each tensor is told of once"
        assert sum(part.size for part in conversion.parts) == conversion.view.header.data_size
    told = ("kind", "architecture", "variant", "prediction", "layout", "parameters", "adapter", "dtypes", "fingerprint")
    assert {name: getattr(after, name) for name in told} == {name: getattr(before, name) for name in told}
    assert after.kind != "unknown"
    assert kind != "sd21" or after.prediction == "v", "known by its number of steps alone"


def test_a_textual_inversion_gets_the_name_that_programs_look_for(torch, tmp_path):
    path, goal = tmp_path / "style.pt", tmp_path / "style.safetensors"
    vectors = torch.randn(3, 768, requires_grad=True)
    value = {
        "string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": vectors}, "name": "style", "step": 500,
        "sd_checkpoint": "fe4efff1e1", "sd_checkpoint_name": "model",
    }  # fmt: skip
    torch.save(value, path)
    report = to_file(path, goal)
    same(goal, {"emb_params": vectors.detach()})
    assert [(one.action, one.what) for one in report.conversion.parts] == [
        ("change", "vectors"),
        ("drop", "token numbers"),
    ]
    before, after = (identify(read_any_header(p)[1], form=read_any_header(p)[0]) for p in (path, goal))
    assert (after.kind, after.architecture, after.facts) == (before.kind, before.architecture, before.facts)
    assert (after.kind, after.architecture) == ("embedding", "sd1")


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"clip_l": (2, 768), "clip_g": (2, 1280)}, ["clip_g", "clip_l"]),
        ({"*": (2, 1024)}, ["emb_params"]),
        ({"one": (2, 768), "two": (2, 768)}, ["string_to_param.one", "string_to_param.two"]),
    ],
)
def test_names_of_other_inversions(params, names, torch, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"string_to_param": {name: torch.randn(shape) for name, shape in params.items()}}, path)
    report = to_file(path, tmp_path / "x.safetensors")
    assert sorted(read_header(tmp_path / "x.safetensors").tensors) == names
    assert bool(report.conversion.warnings) == (len(names) == 2 and "clip_l" not in names)


def test_a_hypernetwork_is_converted_with_a_warning(torch, tmp_path):
    path = tmp_path / "h.pt"
    layers = [{"linear.0.weight": torch.randn(1536, 768), "linear.0.bias": torch.zeros(1536)} for _ in range(2)]
    torch.save({768: layers, "name": "h", "step": 3, "activation_func": "relu"}, path)
    report = to_file(path, goal := tmp_path / "h.safetensors")
    same(goal, {f"768.{at}.{name}": value for at, layer in enumerate(layers) for name, value in layer.items()})
    assert any("hypernetworks" in warning for warning in report.conversion.warnings)
    assert read_header(goal).metadata["pickle.activation_func"] == "relu"


# -- precision ---------------------------------------------------------------------------------------------------------


def test_a_precision_changes_floats_only_and_overflow_is_counted(torch, tmp_path):
    big = torch.full((4, 4), 2.0)
    big[0, :3] = 1e6
    value = {"w": torch.randn(8, 8), "big": big, "n": torch.arange(4), "alpha": torch.tensor(4.0)}
    torch.save(value, path := tmp_path / "x.pt")
    report = to_file(path, goal := tmp_path / "x.safetensors", dtype="fp16")
    same(goal, {"w": value["w"].half(), "big": big.half(), "n": value["n"], "alpha": value["alpha"]})
    (warning,) = report.conversion.warnings
    assert "3 weights" in warning and "big" in warning and "infinite" in warning
    assert {one.action: len(one.names) for one in report.conversion.parts} == {"keep": 2, "change": 2}


def test_metadata_that_would_lie_goes_and_the_rest_stays(make_file, torch, tmp_path):
    metadata = {
        "format": "pt", "modelspec.title": "Mine", "modelspec.hash_sha256": "0xab", "sshs_model_hash": "ab", "ss_tag": "x",
    }  # fmt: skip
    path = make_file("a.safetensors", {"w": torch.randn(4, 4)}, metadata)
    report = to_file(path, goal := tmp_path / "b.safetensors", dtype="bf16")
    found = read_header(goal).metadata
    assert (found["modelspec.title"], found["ss_tag"], found["modelhub.source"]) == ("Mine", "x", "a.safetensors")
    assert not {"modelspec.hash_sha256", "sshs_model_hash"} & set(found)
    assert any("sshs_model_hash" in warning for warning in report.conversion.warnings)


def test_what_is_said_of_the_source_is_of_one_source(torch, tmp_path):
    """The hash of the pickle is not that of the file that was made of it."""
    torch.save({"w": torch.randn(4, 4)}, path := tmp_path / "a.ckpt")
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    convert_file(path, first, Wish(hashes=True))
    assert read_header(first).metadata["modelhub.source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    to_file(first, second, dtype="fp16")
    said = {key: text for key, text in read_header(second).metadata.items() if key.startswith("modelhub.source")}
    assert said == {"modelhub.source": "a.safetensors", "modelhub.source_format": "safetensors"}


def test_safetensors_is_refused_unless_its_name_lies(make_file, torch, tmp_path):
    path = make_file("a.safetensors", {"z": torch.randn(3), "a": torch.randn(2).half()}, {"who": "me"})
    for wishes in ({}, {"dtype": "keep"}):
        with pytest.raises(UsageError, match="safetensors already") as refused, planned(path, Options(**wishes)):
            pass
        assert "prune" in refused.value.hint
    half = make_file("h.safetensors", {"a": torch.randn(2).half()})
    with pytest.raises(UsageError, match="in fp16 as asked"), planned(half, Options(dtype="fp16")):
        pass
    lying = path.rename(tmp_path / "a.ckpt")
    to_file(lying, goal := tmp_path / "a.safetensors")
    assert goal.read_bytes() == lying.read_bytes(), "not even the header is another"


def test_shards_become_one_file(make_file, torch, tmp_path):
    parts = [{"a": torch.randn(3)}, {"b": torch.randn(4).half()}]
    for at, part in enumerate(parts, 1):
        make_file(f"m-{at:05d}-of-00002.safetensors", part, {"format": "pt"})
    first = tmp_path / "m-00001-of-00002.safetensors"
    assert goal_for(first, None, Options()) == tmp_path / "m.safetensors"
    report = to_file(first, tmp_path / "m.safetensors")
    same(tmp_path / "m.safetensors", {**parts[0], **parts[1]})
    assert len(report.conversion.stats) == 2


# -- hostile and broken ------------------------------------------------------------------------------------------------


def test_an_evil_pickle_is_refused_and_leaves_nothing(evil, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnsafePickleError) as refused:
        to_file(evil.path, tmp_path / "x.safetensors")
    assert "mkdir" in refused.value.message and "--salvage" in refused.value.hint
    assert sorted(tmp_path.iterdir()) == before and not evil.marker.exists()


def test_salvage_takes_the_tensors_out_and_tells(evil, tmp_path):
    report = to_file(evil.path, goal := tmp_path / "x.safetensors", salvage=True)
    same(goal, evil.weights)
    assert not evil.marker.exists() and b"mkdir" not in goal.read_bytes()
    assert any("mkdir" in finding for finding in report.conversion.findings)
    assert any("would run code" in warning for warning in report.conversion.warnings)


def test_an_evil_part_of_a_set_is_refused(torch, tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "m-00001-of-00002.bin")
    torch.save({"b": torch.ones(2), "x": Makes(tmp_path / "marker")}, tmp_path / "m-00002-of-00002.bin")
    with pytest.raises(UnsafePickleError):
        to_file(tmp_path / "m-00001-of-00002.bin", tmp_path / "m.safetensors", salvage=True)
    assert not (tmp_path / "m.safetensors").exists() and not (tmp_path / "marker").exists()


def test_a_damaged_tensor_is_an_error_or_salvaged_as_it_is(torch, tmp_path):
    weights = {"w": torch.arange(64.0), "v": torch.arange(64.0, 128.0)}
    torch.save(weights, path := tmp_path / "x.pt")
    flip(path, bytes_of(weights["w"]))
    with pytest.raises(CorruptFileError):
        to_file(path, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
    report = to_file(path, tmp_path / "x.safetensors", salvage=True)
    assert report.damaged == ("w",) and report.as_dict()["damaged"] == ["w"]
    assert any("damaged" in finding for finding in report.conversion.findings)
    from safetensors.torch import load_file

    found = load_file(tmp_path / "x.safetensors")
    assert bytes_of(found["v"]) == bytes_of(weights["v"]) and bytes_of(found["w"]) != bytes_of(weights["w"])


def test_output_is_limited_and_the_limit_can_be_raised(torch, tmp_path):
    torch.save({"w": torch.ones(1).expand(20_000_000)}, path := tmp_path / "x.pt")
    with pytest.raises(FileError), planned(path, Options()):
        pass
    with pytest.raises(FileError), planned(path, Options(max_output=79_999_999)):
        pass
    with planned(path, Options(max_output=80_000_000)) as conversion:
        assert conversion.view.header.data_size == 80_000_000


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"<html>", b"\x80\x02}q\0.", b"\0" * 4096])
def test_what_holds_no_weights(content, tmp_path):
    (path := tmp_path / "x.ckpt").write_bytes(content)
    try:
        to_file(path, tmp_path / "x.safetensors")
    except ModelhubError as error:
        assert error.exit_code == 3 and "x.ckpt" in error.message
    else:
        assert read_header(tmp_path / "x.safetensors").tensors == {}


def test_a_source_that_changes_meanwhile(torch, tmp_path):
    torch.save({"w": torch.ones(4)}, path := tmp_path / "x.pt")

    def write_to_it(event: Event) -> None:
        if event.phase == "writing" and event.done:
            os.utime(path, ns=(1, 1))

    with planned(path, Options()) as conversion, pytest.raises(CorruptFileError, match="written to while"):
        carry_out(conversion, tmp_path / "x.safetensors", job=Job("convert", write_to_it))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pt"]


def test_a_job_that_is_cancelled_leaves_nothing(torch, tmp_path):
    torch.save({"w": torch.ones(4)}, path := tmp_path / "x.pt")
    job = Job("convert", lambda event: job.cancel() if event.phase == "writing" and event.done else None)
    with planned(path, Options()) as conversion, pytest.raises(CancelledError):
        carry_out(conversion, tmp_path / "x.safetensors", job=job)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pt"]


# -- where it goes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "given", "wishes", "goal"),
    [
        ("a.ckpt", None, {}, "a.safetensors"),
        ("a.v1.pt", None, {"dtype": "fp16"}, "a.v1.safetensors"),
        ("a.2024", None, {}, "a.2024.safetensors"),
        ("a.safetensors", None, {"dtype": "fp16"}, "a-fp16.safetensors"),
        ("a.safetensors", None, {"vae_dtype": "bf16"}, "a-bf16.safetensors"),
        ("a.safetensors", None, {}, "a-converted.safetensors"),
        ("a-00002-of-00003.bin", None, {}, "a.safetensors"),
        ("a.ckpt", "there", {}, "there/a.safetensors"),
        ("a.ckpt", "b.safetensors", {}, "b.safetensors"),
        ("folder.v1", None, {}, "folder.v1.safetensors"),
    ],
)
def test_names_of_results(source, given, wishes, goal, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "folder.v1").mkdir()
    found = goal_for(tmp_path / source, None if given is None else tmp_path / given, Options(**wishes))
    assert found == tmp_path / goal


def test_blocks_have_to_be_unpacked(tmp_path):
    import gguf

    writer = gguf.GGUFWriter(path := tmp_path / "x.gguf", "flux")
    data = gguf.quantize(np.ones((2, 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("w", data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    with pytest.raises(IncompatibleError) as refused, planned(path, Options()):
        pass
    assert "Q8_0" in refused.value.message and "--dtype fp16" in refused.value.hint
    report = to_file(path, tmp_path / "x.safetensors", dtype="fp16")
    from safetensors.numpy import load_file

    found = load_file(tmp_path / "x.safetensors")["w"]
    assert found.dtype == np.float16 and np.array_equal(found, np.ones((2, 32)))
    assert any(one.action == "change" for one in report.conversion.parts)
