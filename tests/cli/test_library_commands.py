"""folders and sidecars: whose folders these are, what lies beside a model, and what is written for other programs."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.cli.library_commands import CONVENTIONS
from modelhub.formats.sidecars import read_sidecars
from modelhub.formats.sidecars.table import WRITABLE

Run = Callable[..., Any]
MakeFile = Callable[..., Path]
EMBEDDING = {"emb_params": np.zeros((2, 768), np.float32)}


@pytest.fixture
def comfy(tmp_path: Path, make_file: MakeFile) -> Path:
    root = tmp_path / "ComfyUI"
    for folder in ("checkpoints", "loras", "vae", "embeddings", "controlnet", "upscale_models"):
        (root / "models" / folder).mkdir(parents=True)
    (root / "comfy").mkdir()
    (root / "main.py").touch()
    (root / "folder_paths.py").touch()
    make_file(root / "models" / "embeddings" / "one.safetensors", EMBEDDING)
    return root


def test_the_layout_of_a_folder_is_recognised_and_its_extra_folders_are_scanned_too(
    comfy: Path, tmp_path: Path, make_file: MakeFile, run: Run
) -> None:
    make_file("elsewhere/embeddings/two.safetensors", EMBEDDING)
    (comfy / "extra_model_paths.yaml").write_text(
        f"mine:\n  base_path: {tmp_path / 'elsewhere'}\n  embeddings: embeddings\n  loras: nowhere\n"
    )
    told = run("scan", comfy)
    assert told.code == 0 and "which is indexed too" in told.err
    rows = run("folders", "--json").json
    assert [(Path(row["path"]).name, row["layout"], row["assets"]) for row in rows] == [
        ("ComfyUI", "comfyui", 1), ("embeddings", None, 1)
    ]  # fmt: skip
    assert "ComfyUI" in run("folders").out


def test_a_broken_list_of_extra_folders_is_a_warning_and_the_rest_is_scanned(comfy: Path, run: Run) -> None:
    (comfy / "extra_model_paths.yaml").write_text("a: [1, {")
    told = run("scan", comfy)
    assert told.code == 0 and "not valid YAML" in told.err
    assert len(run("ls", "--json").json) == 1


def test_a_folder_can_be_taken_off_the_list(comfy: Path, run: Run) -> None:
    run("scan", comfy)
    assert run("folders", "--forget", comfy, "--dry-run").code == 0
    assert len(run("folders", "--json").json) == 1
    assert run("folders", "--forget", comfy, "--json").json == []
    assert len(run("ls", "--json").json) == 1, "what is known of its files stays"
    assert run("folders", "--forget", comfy, "--json").error["code"] == "not-found"


def test_what_sidecars_say_is_shown_with_the_file_that_says_it(tmp_path: Path, make_file: MakeFile, run: Run) -> None:
    model = make_file("library/one.safetensors", EMBEDDING)
    model.with_suffix(".json").write_text(json.dumps({"activation text": "glimmer\x1b[31m", "notes": "mine"}))
    run("scan", model.parent)
    found = run("sidecars", "one", "--json").json[0]
    assert found["facts"]["notes"] == "mine" and found["facts"]["origin"]["notes"] == "one.json"
    assert found["files"] == [str(model.with_suffix(".json"))]
    shown = run("sidecars", "one").out
    assert "mine   (one.json)" in shown and "\x1b" not in shown


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_an_export_holds_the_users_words_and_the_computed_hash(convention: str, make_file: MakeFile, run: Run) -> None:
    model = make_file("library/one.safetensors", EMBEDDING)
    run("scan", model.parent, "--hash", "full")
    run("note", "one", "good at 0.7")
    before = model.read_bytes()
    planned = Path(run("sidecars", "one", "--export", convention, "--dry-run", "--json").json[0]["written"])
    assert not planned.exists()
    written = Path(run("sidecars", "one", "--export", convention, "--json").json[0]["written"])
    assert written == planned and model.read_bytes() == before
    read = read_sidecars(model)
    if convention in ("a1111", "lora-manager"):
        assert read.notes == "good at 0.7"
    if convention in ("civitai-info", "lora-manager", "stability-matrix", "sha256"):
        assert read.hashes["sha256"] == hashlib.sha256(before).hexdigest()
    if convention == "sha256":
        subprocess.run(["sha256sum", "--check", written.name], cwd=model.parent, check=True, capture_output=True)
    again = run("sidecars", "one", "--export", convention)
    assert (again.code, "--force" in again.err) == (3, True)
    assert run("sidecars", "one", "--export", convention, "--force").code == 0


def test_the_conventions_that_can_be_chosen_are_those_that_can_be_written() -> None:
    assert set(CONVENTIONS) == set(WRITABLE)


def test_a_lora_names_the_checkpoint_of_the_library_that_it_was_trained_on(make_file: MakeFile, run: Run) -> None:
    base = make_file("library/the base.safetensors", EMBEDDING)
    digest = hashlib.sha256(base.read_bytes()).hexdigest()
    parts = {"down.weight": np.zeros((4, 320), np.float32), "up.weight": np.zeros((320, 4), np.float32)}
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_"
    tensors = {module + part: value for part, value in parts.items()}
    make_file("library/lora.safetensors", tensors, {"ss_new_sd_model_hash": digest, "ss_network_dim": "4"})
    run("scan", base.parent)
    assert "trained on" not in run("show", "lora").out, "nobody knows the hash of the base yet"
    run("scan", "--hash", "fast")
    assert "the base.safetensors, by its hash" in run("show", "lora").out
