"""prune and repair on the command line: what is written where, what is said, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelhub.catalog.store import Catalog

BASE = "tiny-shapes-base"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


@pytest.fixture
def model(demo_library, tmp_path) -> Path:
    """A copy of the demo's checkpoint in a folder of its own."""
    path = tmp_path / "models" / "base.safetensors"
    path.parent.mkdir()
    shutil.copy(next(path for path in demo_library.files if path.stem == BASE), path)
    return path


def changed(model: Path, **extra) -> Path:
    tensors = load_file(model) | extra
    save_file(tensors, model)
    return model


def trained(model: Path) -> Path:
    """As training leaves it, with an average of 1 for every weight."""
    ema = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): np.ones_like(value)
        for name, value in load_file(model).items()
        if name.startswith("model.diffusion_model.")
    }
    return changed(model, **ema, v_pred=np.zeros(0, "f4"), odd=np.zeros(3, "f4"))


def test_prune_writes_beside_the_source_and_into_the_catalog(run, model, library):
    before = trained(model).read_bytes()
    result = run("prune", model)
    goal = model.with_name("base.pruned.safetensors")
    assert result.code == 0, result.err
    assert f"{goal}  #10" in result.out
    assert "drop  EMA weights" in result.out and "a copy for training" in result.out
    assert "keep  unknown: odd" in result.out
    assert not any(name.startswith("model_ema.") for name in load_file(goal))
    assert model.read_bytes() == before
    with Catalog.open() as catalog:
        assert catalog.by_path(goal).prediction == "v"


def test_prune_answers_in_json(run, model):
    answer = run("prune", trained(model), "--json", "--hash", "--dtype", "fp16", "--ema", "use").json
    assert (answer["source"], answer["source_size"]) == (str(model), model.stat().st_size)
    assert (answer["verified"], answer["id"]) == (True, None)
    assert answer["size"] == Path(answer["path"]).stat().st_size
    import hashlib

    assert answer["sha256"] == hashlib.sha256(Path(answer["path"]).read_bytes()).hexdigest()
    (used,) = [part for part in answer["parts"] if part["what"] == "EMA weights" and part["action"] == "change"]
    assert used["tensors"] == 682
    assert (load_file(answer["path"])["model.diffusion_model.out.2.weight"] == 1).all()


def test_a_dry_run_says_the_same_and_writes_nothing(run, model):
    parts = run("prune", trained(model), "--dry-run", "--json").json["parts"]
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert run("prune", model, "--json").json["parts"] == parts


@pytest.mark.parametrize(
    ("words", "name", "tensors"),
    [
        (["--only", "vae"], "base-vae.safetensors", 244),
        (["--only", "te1"], "base-te1.safetensors", 37),
        (["--only", "vae,clip-l"], "base-vae-clip_l.safetensors", 281),
        (["--drop", "vae", "--drop", "te"], "base.pruned.safetensors", 684),
    ],
)
def test_components_get_names_that_say_what_they_are(run, model, words, name, tensors):
    answer = run("prune", model, "--json", *words).json
    assert (Path(answer["path"]).name, answer["tensors"]) == (name, tensors)


def test_a_folder_as_goal(run, model, tmp_path):
    (tmp_path / "out").mkdir()
    answer = run("prune", model, tmp_path / "out", "--json", "--dtype", "bf16").json
    assert Path(answer["path"]) == tmp_path / "out" / "base.pruned.safetensors"


def test_nothing_to_prune_writes_nothing_unless_a_goal_is_named(run, model, tmp_path):
    result = run("prune", model)
    assert (result.code, result.out.splitlines()[0]) == (0, "nothing to prune")
    assert run("prune", model, "--json").json["path"] is None
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert run("prune", model, tmp_path / "copy.safetensors").code == 0
    assert load_file(tmp_path / "copy.safetensors").keys() == load_file(model).keys()


def test_nothing_is_written_over(run, model):
    trained(model)
    assert run("prune", model).code == 0
    again = run("prune", model, "--json")
    assert (again.code, again.error["code"]) == (3, "file-exists")
    assert run("prune", model, "--force").code == 0
    itself = run("prune", model, model, "--force", "--json")
    assert (itself.code, itself.error["code"]) == (2, "usage")


def test_a_pickle_is_pruned_to_safetensors(run, model, tmp_path):
    import torch

    tensors = {name: torch.from_numpy(value) for name, value in load_file(trained(model)).items()}
    torch.save({"state_dict": tensors, "optimizer_states": [{"a": torch.zeros(9)}], "epoch": 3}, tmp_path / "old.ckpt")
    answer = run("prune", tmp_path / "old.ckpt", "--json").json
    assert Path(answer["path"]) == tmp_path / "old.pruned.safetensors"
    found = load_file(answer["path"])
    assert found.keys() == {name for name in tensors if not name.startswith("model_ema.")}


def test_a_ref_of_the_catalog(run, library, tmp_path):
    answer = run("prune", "tiny-shapes-stripes", tmp_path, "--only", "vae", "--json").json
    assert Path(answer["path"]) == tmp_path / "tiny-shapes-stripes-vae.safetensors"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--only", "te2"], 2, "denoiser, text_encoder, vae"),
        (["--only", "vae", "--drop", "vae"], 2, "two things"),
        (["--drop", "vae,te,denoiser"], 2, "Nothing would be left"),
        (["--only", ""], 2, "without a name"),
        (["--ema", "use"], 2, "no EMA weights"),
        (["--dtype", "fp12"], 2, "fp12"),
    ],
)
def test_what_cannot_be_is_refused(run, model, words, code, said):
    result = run("prune", model, *words)
    assert result.code == code
    assert said in " ".join(result.err.split())
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_names_from_a_file_are_shown_harmless(run, model):
    changed(model, **{"evil\x1b[31m\u202e": np.zeros(3, "f4")})
    result = run("prune", model, "--dtype", "bf16", "--dry-run")
    assert "\x1b" not in result.out and "\u202e" not in result.out
    assert "evil\\x1b[31m" in result.out


def damaged(model: Path) -> Path:
    weight = load_file(model)["model.diffusion_model.out.2.weight"].copy()
    weight.reshape(-1)[0] = np.nan
    ids = (np.arange(77, dtype="f4") * 0.9999)[None]
    return changed(model, **{IDS: ids, "model.diffusion_model.out.2.weight": weight})


def test_repair_writes_what_can_be_mended(run, model):
    before = damaged(model).read_bytes()
    result = run("repair", model)
    goal = model.with_name("base.repaired.safetensors")
    assert result.code == 0
    assert "76 of 77 values are wrong" in result.out and "mended: 0 to 76 as I64" in result.out
    assert "1 NaN in 1 tensor" in result.out and "--nan zero" in result.out
    assert load_file(goal)[IDS].tolist() == [list(range(77))]
    assert model.read_bytes() == before


def test_repair_in_json_with_a_donor(run, model, library):
    answer = run("repair", damaged(model), "--from", BASE, "--json").json
    assert answer["healthy"] is False
    assert [(one["code"], one["mended"]) for one in answer["problems"]] == [
        ("position-ids", "0 to 76 as I64; pictures change by it"),
        ("not-finite", f"taken from {BASE}"),
    ]
    again = run("repair", answer["path"], "--json").json
    assert (again["healthy"], again["problems"], again["path"]) == (True, [], None)


def test_a_dry_run_of_repair_is_the_check(run, model):
    answer = run("repair", damaged(model), "--dry-run", "--json").json
    assert answer["healthy"] is False
    assert answer["path"].endswith("base.repaired.safetensors")
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_what_cannot_be_mended_is_told_and_nothing_written(run, model):
    tensors = load_file(model)
    name = "model.diffusion_model.out.2.bias"
    changed(model, **{name: tensors[name] * np.inf})
    result = run("repair", model)
    assert result.code == 0
    assert "nothing was written" in result.out and name in result.out
    assert run("repair", model, "--json").json["path"] is None
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert run("repair", model, "--nan", "zero").code == 0


def test_nothing_to_repair(run, model, tmp_path):
    result = run("repair", model, tmp_path / "x.safetensors")
    assert (result.code, result.out.splitlines()[0]) == (0, "nothing to repair")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_donor_is_never_written_over(run, model):
    donor = model.with_name("donor.safetensors")
    shutil.copy(model, donor)
    before = donor.read_bytes()
    broken = changed(model, **{IDS: np.zeros((1, 77), "f4")})
    result = run("repair", broken, donor, "--from", donor, "--force")
    assert result.code == 2 and "one of the files that it is made of" in " ".join(result.err.split())
    assert donor.read_bytes() == before


def test_a_donor_of_another_kind(run, model, library):
    result = run("repair", damaged(model), "--from", "tiny-shapes-framed-lora", "--json")
    assert (result.code, result.error["code"]) == (4, "incompatible")


def test_repair_and_copies_import_no_torch(finish, model, library):
    """numpy looks at the bits; nothing is computed."""
    env = {"PYTHONPROFILEIMPORTTIME": "1"}
    for words in (["prune", damaged(model), "--only", "vae"], ["repair", model]):
        result = finish(*words, env=env)
        assert result.code == 0
        assert "modelhub.convert" in result.err
        assert not any(line.rpartition("|")[2].strip() == "torch" for line in result.err.splitlines())


KEYS = ["source", "source_size", "size", "tensors", "parts", "warnings", "findings", "path", "sha256", "verified"]


def test_convert_prune_and_repair_answer_alike(run, model):
    """The same keys whether a file is planned, written or not wanted, and the same lines."""
    changed(trained(model), **{IDS: np.zeros((1, 77), "f4")})
    keys = [*KEYS, "damaged", "seconds", "id"]
    repair = [*keys, "healthy", "problems", "notes"]
    for (command, *options), wanted in (
        (["convert", "--dtype", "bf16"], keys),
        (["prune"], keys),
        (["repair"], repair),
    ):
        planned = run(command, model, *options, "--dry-run", "--json").json
        assert list(planned) == wanted
        assert (planned["sha256"], planned["verified"], planned["seconds"]) == (None, False, None)
        shown = run(command, model, *options, "--dry-run").out
        written = run(command, model, *options)
        assert shown.splitlines()[0] == f"would write {planned['path']}"
        assert written.out.splitlines()[0] == planned["path"]
        assert shown.splitlines()[1:] == [one for one in written.out.splitlines()[1:] if not one.startswith("time")]
        answer = run(command, model, *options, "--force", "--json").json
        assert list(answer) == wanted
        same = set(wanted) - {"verified", "seconds"}
        assert {key: answer[key] for key in same} == {key: planned[key] for key in same}
        (size,) = [line for line in shown.splitlines() if line.startswith("size")]
        assert " MB → " in size and f"{planned['tensors']:,} tensors" in size
        assert all(part["reason"] for part in planned["parts"]), "why each part stays or goes"
    pruned = run("prune", model, "--json", "--force").json["path"]
    idle = run("prune", pruned, "--json").json
    assert list(idle) == keys and (idle["path"], idle["verified"]) == (None, False)


def test_numbers_that_did_not_fit_and_those_that_were_none(run, model):
    weight = load_file(model)["model.diffusion_model.out.2.weight"].astype("f4")
    weight.reshape(-1)[:4] = 1e9, np.nan, np.inf, np.nan
    changed(model, **{"model.diffusion_model.out.2.weight": weight})
    for command in ("prune", "convert"):
        warnings = run(command, model, "--dtype", "fp16", "--json").json["warnings"]
        assert any(text.startswith("1 weight in 1 tensor did not fit") for text in warnings)
        assert any(
            text.startswith("3 weights in 1 tensor came as NaN or infinite from the source") for text in warnings
        )


@pytest.mark.parametrize("command", ["convert", "prune", "repair"])
def test_what_is_no_model(command, run, library, tmp_path):
    import os

    (tmp_path / "notes.ckpt").write_text("hello\n" * 20)
    (tmp_path / "page.safetensors").write_text("<!DOCTYPE html><html>" * 20)
    (tmp_path / "lfs.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265380512\n"
    )
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    before = sorted(tmp_path.iterdir())
    for name, said, hint in (
        ("notes.ckpt", "plain text", "again"),
        ("page.safetensors", "a web page, not a model", "download it again"),
        ("lfs.safetensors", "a Git LFS pointer, not a model", "git lfs pull"),
        ("empty.safetensors", "is empty", "again"),
        ("folder", "is a folder", "Name a file"),
        ("pipe.safetensors", "a pipe", "regular file"),
    ):
        refused = run(command, tmp_path / name, "--json")
        assert refused.code == 3, name
        assert str(tmp_path / name) in refused.error["message"] and said in refused.error["message"]
        assert hint in refused.error["hint"], name
    for words in (["nobody"], [""], [library.base, ""]):
        assert run(command, *words, "--json").code == 2, words
    assert sorted(tmp_path.iterdir()) == before, "nothing left behind"


@pytest.mark.parametrize("command", ["prune", "repair"])
def test_a_pickle_that_would_run_code(command, run, tmp_path):
    (tmp_path / "evil.ckpt").write_bytes(b"cos\nmkdir\n(X\x01\x00\x00\x00xtR.")
    refused = run(command, tmp_path / "evil.ckpt", "--json")
    assert (refused.code, refused.error["code"]) == (3, "unsafe-pickle")
    assert "modelhub convert --salvage" in refused.error["hint"]


def test_the_same_model_keeps_what_was_said_of_it(run, model):
    trained(model)
    assert run("scan", model.parent).code == 0
    assert run("tag", "base", "--add", "good").code == run("note", "base", "mine").code == 0
    (model.parent / "base.pruned.civitai.info").write_text('{"id": 5, "modelId": 4, "baseModel": "Pony"}')
    pruned = run("show", f"#{run('prune', '#1', '--json').json['id']}", "--json").json
    assert (pruned["tags"], pruned["notes"], pruned["sidecar"]["base_model"]) == (["good"], "mine", "Pony")
    vae = run("show", f"#{run('prune', '#1', '--only', 'vae', '--json').json['id']}", "--json").json
    assert (vae["kind"], vae["tags"], vae["notes"]) == ("vae", [], ""), "a part of it is another model"


def test_no_catalog_comes_to_be_for_a_file(run, model, home):
    assert run("prune", trained(model), "--json").json["id"] is None
    assert run("repair", damaged(model), "--from", model.with_name("base.pruned.safetensors")).code == 0
    assert not home.exists()
