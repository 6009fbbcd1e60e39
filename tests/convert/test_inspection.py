"""Inspection of every format: the verdict, what is in the file, and that nothing of it is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from inspection_files import HOSTILE, Runs, evil_pickle, gguf, layout, sparse

from modelhub.convert.inspect import Inspection, inspect
from modelhub.errors import CorruptFileError, NotAModelError, VanishedError


def codes(found: Inspection, level: str | None = None) -> list[str]:
    return [one.code for one in found.findings if level in (None, one.level)]


def test_a_checkpoint_is_told_by_components(tmp_path):
    """The sum of all rows is the file, and each row has the bytes of the tensors below its prefix."""
    entries = layout("sd15")
    path = sparse(tmp_path / "sd15.safetensors", entries, {"format": "pt"})
    found = inspect(path)
    assert (found.format, found.verdict, found.identity.architecture) == ("safetensors", "safe", "sd1")
    assert len(found.header.tensors) == len(entries)
    prefixes = {piece.role: piece for piece in found.pieces}
    for role, prefix in [
        ("denoiser", "model.diffusion_model."), ("vae", "first_stage_model."), ("text_encoder", "cond_stage_model."),
    ]:  # fmt: skip
        own = [info for name, info in found.header.tensors.items() if name.startswith(prefix)]
        piece = prefixes[role]
        assert (piece.prefix, piece.tensors, piece.size) == (prefix, len(own), sum(info.nbytes for info in own))
        assert set(piece.dtypes) == {info.dtype for info in own}
    assert sum(piece.tensors for piece in found.pieces) == len(entries)
    assert sum(piece.size for piece in found.pieces) == found.header.data_size
    assert prefixes["denoiser"].parameters == 859_520_964
    assert found.size == path.stat().st_size


def test_what_stands_beside_components_is_told(tmp_path):
    denoiser = {name: entry for name, entry in layout("sd15").items() if name.startswith("model.diffusion_model.")}
    ema = {"model_ema." + name.removeprefix("model.").replace(".", ""): entry for name, entry in denoiser.items()}
    entries = {
        **layout("sd15"), **ema, "betas": ("F32", (1000,)), "v_pred": ("F32", (0,)), "ztsnr": ("F32", (0,)),
        "optimizer_states.0.m": ("F32", (4, 4)), "mine": ("F32", (2,)),
    }  # fmt: skip
    found = inspect(sparse(tmp_path / "full.safetensors", entries, {"format": "pt"}))
    rows = {piece.role: piece for piece in found.pieces}
    assert rows["ema"].tensors == len(ema)
    assert rows["ema"].size == rows["denoiser"].size
    assert (rows["schedule"].tensors, rows["marker"].tensors, rows["training"].tensors) == (1, 2, 1)
    assert (rows["extra"].tensors, rows["extra"].size) == (1, 8)
    notes = {one.code: one for one in found.findings}
    assert set(notes) == {"ema", "training-leftovers", "prediction-markers"}
    assert notes["prediction-markers"].names == ("v_pred", "ztsnr")
    assert found.identity.prediction == "v"


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_usual_checkpoint_is_safe_and_told_in_full(tmp_path, torch, is_zip):
    path = tmp_path / "model.ckpt"
    shared = torch.zeros(4)
    weights = {"a.weight": torch.ones(2, 3), "a.bias": shared, "tied.bias": shared}
    content = {"state_dict": weights, "optimizer_states": [{"m": torch.ones(3)}], "global_step": 7}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    found = inspect(path)
    assert (found.format, found.verdict, len(found.header.tensors)) == ("pickle", "safe", 3)
    assert found.container["kind"] == ("zip" if is_zip else "legacy")
    assert found.container["wrapper"] == "state_dict"
    assert found.container["root"] == ("model" if is_zip else None)
    assert found.container["protocol"] == (None if is_zip else 2)
    assert found.container["tied"] == [["a.bias", "tied.bias"]]
    assert found.container["members"] == []
    assert {name.path for name in found.globals} == {
        "torch._utils._rebuild_tensor_v2", "torch.FloatStorage", "collections.OrderedDict"
    }  # fmt: skip
    assert {name.verdict for name in found.globals} == {"tensor"}
    assert set(codes(found)) == {"pickle", "tied-weights"}
    assert any("optimizer_states" in one.message for one in found.findings)


def test_offsets_are_those_of_the_opcodes(tmp_path):
    path = evil_pickle(tmp_path / "evil.pkl", "true", protocol=2)
    (name,) = inspect(path).globals
    assert path.read_bytes()[name.offset :].startswith(b"cposix\nsystem\n")


@pytest.mark.parametrize("protocol", range(5))
def test_a_hostile_pickle_is_dangerous_and_not_run(tmp_path, protocol):
    marker = tmp_path / "marker"
    path = evil_pickle(tmp_path / "evil.ckpt", f"touch {marker}", protocol)
    found = inspect(path)
    assert found.verdict == "dangerous"
    assert [name.path for name in found.globals] == ["posix.system"]
    dangers = [one.message for one in found.findings if one.level == "danger"]
    assert any("posix.system" in text and "touch" in text for text in dangers)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()


def test_the_worst_names_come_first(tmp_path, torch):
    path = tmp_path / "evil.ckpt"
    torch.save({"w": torch.ones(1), "x": np.float64(1), "y": Stranger(), "z": Runs("true")}, path)
    verdicts = [name.verdict for name in inspect(path).globals]
    assert verdicts == sorted(verdicts, key=("dangerous", "unknown", "inert", "tensor").index)
    assert {"dangerous", "unknown", "inert", "tensor"} == set(verdicts)


class Stranger:
    """A class that no list knows."""


def test_an_unknown_class_is_suspicious(tmp_path, torch):
    path = tmp_path / "model.pt"
    torch.save({"w": torch.ones(1), "x": Stranger()}, path)
    found = inspect(path)
    assert found.verdict == "suspicious"
    (finding,) = [one for one in found.findings if one.level == "suspicious"]
    assert finding.names == (f"{__name__}.Stranger",)


def test_bytes_behind_the_end_are_suspicious(tmp_path):
    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps({"a": 1}, 2) + b"more")
    assert inspect(path).verdict == "suspicious"


def test_torchscript_is_suspicious_without_naming_its_classes_one_by_one(tmp_path, torch):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    found = inspect(path)
    assert (found.verdict, found.container["kind"]) == ("suspicious", "torchscript")
    assert codes(found, "suspicious") == ["torchscript"]
    members = [one["name"] for one in found.container["members"]]  # torch numbers a class that it has met before
    assert any(name.startswith("script/code/__torch__/torch/nn/modules/linear") for name in members)


def test_members_of_an_archive_that_are_no_weights_are_listed(tmp_path, torch):
    path = tmp_path / "model.ckpt"
    torch.save({"w": torch.ones(3)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/notes.txt", b"hello")
    assert inspect(path).container["members"] == [{"name": "model/notes.txt", "size": 5}]


def test_what_is_broken_and_not_dangerous_is_an_error(tmp_path, torch):
    path = tmp_path / "model.ckpt"
    torch.save({"w": torch.ones(300)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CorruptFileError):
        inspect(path)


def test_what_is_broken_and_dangerous_is_both(tmp_path):
    path = evil_pickle(tmp_path / "evil.ckpt", "true")
    path.write_bytes(path.read_bytes()[:-2])
    found = inspect(path)
    assert found.verdict == "dangerous"
    assert "corrupt-file" in codes(found, "problem")
    assert len(found.header.tensors) == 0


def test_a_pickle_that_is_called_safetensors_is_suspicious(tmp_path, torch):
    path = tmp_path / "model.safetensors"
    torch.save({"w": torch.ones(1)}, path)
    found = inspect(path)
    assert (found.format, found.verdict, codes(found, "suspicious")) == ("pickle", "suspicious", ["wrong-name"])


@pytest.mark.parametrize("name", ["model.ckpt", "model.gguf"])
def test_another_wrong_name_is_a_problem(tmp_path, name):
    found = inspect(sparse(tmp_path / name, {"a": ("F32", (2,))}))
    assert (found.format, found.verdict, codes(found, "problem")) == ("safetensors", "safe", ["wrong-name"])


#: A name that is called, and one that is computed: "flfgrz" is "system" in rot13.
PLAIN = b"N0cos\nsystem\n(S'true'\ntR."
COMPUTED = b"N0X\2\0\0\0osc_codecs\nencode\n(X\6\0\0\0flfgrzX\5\0\0\0rot13tR\x93(X\4\0\0\0truetR."


@pytest.mark.parametrize("content", [PLAIN, COMPUTED])
def test_a_pickle_without_any_magic_number_is_found_out(tmp_path, content):
    """Nothing tells by its first bytes that an unpickler would take it."""
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert pickle.loads(path.read_bytes()) == 0
    found = inspect(path)
    assert (found.format, found.verdict) == ("pickle", "dangerous")


def test_gguf_is_told_by_its_blocks(tmp_path):
    tensors = [("a.weight", 2, (4, 64), 4 * 2 * 18), ("b.weight", 2, (32,), 18), ("c.bias", 0, (4,), 16)]
    found = inspect(gguf(tmp_path / "model.gguf", tensors, {"general.architecture": "flux"}))
    assert (found.format, found.verdict) == ("gguf", "safe")
    assert found.container == {"kind": "gguf", "version": 3, "types": {"Q4_0": 2, "F32": 1}}
    assert found.header.metadata["general.architecture"] == "flux"


def _shards(folder: Path) -> list[Path]:
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name, tensor in zip(names, ("a", "b"), strict=True):
        sparse(folder / name, {tensor: ("F32", (4,))})
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return [folder / name for name in names]


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                  "model.safetensors.index.json"])  # fmt: skip
def test_any_shard_and_the_index_name_the_set(tmp_path, name):
    shards = _shards(tmp_path)
    found = inspect(tmp_path / name)
    assert sorted(found.header.tensors) == ["a", "b"]
    assert found.files == tuple((shard, shard.stat().st_size) for shard in shards)
    assert found.container == {"kind": "shards", "shards": 2}


def test_a_missing_shard_is_named(tmp_path):
    first, second = _shards(tmp_path)
    second.unlink()
    with pytest.raises(CorruptFileError, match=second.name):
        inspect(first)


def _folder(folder: Path, classes: dict[str, str]) -> Path:
    index = {"_class_name": "StableDiffusionPipeline", **{name: ["diffusers", kind] for name, kind in classes.items()}}
    for name in classes:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps({"_class_name": classes[name]}))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_a_folder_is_told_by_components_with_classes(tmp_path):
    folder = _folder(tmp_path / "m", {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "tokenizer": "Tok"})
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    files = [
        sparse(folder / part / "diffusion_pytorch_model.safetensors", {"a": ("F32", (4,))}) for part in ("unet", "vae")
    ]
    found = inspect(folder)
    assert (found.format, found.verdict) == ("diffusers", "safe")
    assert found.container["class"] == "StableDiffusionPipeline"
    assert found.container["components"] == [
        {"name": "unet", "class": "UNet2DConditionModel", "files": [str(files[0])]},
        {"name": "vae", "class": "AutoencoderKL", "files": [str(files[1])]},
        {"name": "tokenizer", "class": "Tok", "files": []},
    ]
    assert sorted(found.header.tensors) == ["unet.a", "vae.a"]


def test_one_hostile_file_makes_a_folder_dangerous(tmp_path, torch):
    folder = _folder(tmp_path / "m", {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"})
    sparse(folder / "unet" / "diffusion_pytorch_model.safetensors", {"a": ("F32", (4,))})
    torch.save({"b": torch.ones(2), "x": Runs("true")}, folder / "vae" / "diffusion_pytorch_model.bin")
    found = inspect(folder)
    assert (found.format, found.verdict) == ("diffusers", "dangerous")
    assert found.findings[0].message.startswith(str(Path("vae", "diffusion_pytorch_model.bin")))
    assert sorted(found.header.tensors) == ["unet.a", "vae.b"]


def test_hostile_shards_are_dangerous_too(tmp_path, torch):
    torch.save({"a": torch.ones(2)}, tmp_path / "m-00001-of-00002.bin")
    torch.save({"b": torch.ones(2), "x": Runs("true")}, tmp_path / "m-00002-of-00002.bin")
    found = inspect(tmp_path / "m-00001-of-00002.bin")
    assert (found.format, found.verdict) == ("pickle", "dangerous")
    assert "m-00002-of-00002.bin" in found.findings[0].message
    assert sorted(found.header.tensors) == ["a", "b"]


def test_tensors_are_found_by_parts_and_by_globs(tmp_path):
    entries = dict.fromkeys(("x.attn2.to_q.weight", "x.attn1.to_q.weight", "y[0].bias", "A.weight"), ("F32", (1,)))
    found = inspect(sparse(tmp_path / "a.safetensors", entries))

    def names(pattern: str) -> list[str]:
        return [name for name, _ in found.tensors(pattern)]

    assert names("") == list(entries)
    assert names("ATTN") == list(entries)[:2]
    assert names("*.to_q.weight") == list(entries)[:2]
    assert names("attn?") == []
    assert names("*attn2*") == ["x.attn2.to_q.weight"]
    assert names("*[[]0]*") == ["y[0].bias"]


def test_everything_is_plain_in_json(tmp_path, torch):
    path = tmp_path / "evil.ckpt"
    torch.save({HOSTILE: torch.ones(2), "x": Runs(HOSTILE.replace("\n", ""))}, path)
    plain = json.loads(json.dumps(inspect(path).as_dict()))
    assert {"path", "format", "verdict", "findings", "tensors", "globals", "metadata", "components"} <= set(plain)
    assert (plain["format"], plain["verdict"], plain["tensors"]) == ("pickle", "dangerous", 1)
    assert {"module": "posix", "name": "system", "verdict": "dangerous"}.items() <= plain["globals"][0].items()
    assert plain["findings"][0]["level"] == "danger"


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(VanishedError):
        inspect(tmp_path / "none.ckpt")


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p)])
def test_what_is_no_file_is_no_model(tmp_path, make):
    make(tmp_path / "thing.ckpt")
    with pytest.raises(NotAModelError):
        inspect(tmp_path / "thing.ckpt")


def test_a_device_is_no_model():
    with pytest.raises(NotAModelError):
        inspect("/dev/zero")
