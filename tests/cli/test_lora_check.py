"""`modelhub lora check LORA CHECKPOINT`: what a person reads, what a script parses, exit codes, and what is refused."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path

import pytest

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan

sys.path.append(str(Path(__file__).parents[1] / "catalog"))

from layouts_helper import layout

BASE, LORA = data_path("demo", "tiny-shapes-base.safetensors"), data_path("demo", "tiny-shapes-framed-lora.safetensors")
_BYTES = {"F64": 8, "F32": 4, "I64": 8, "F16": 2, "BF16": 2}


def sparse(
    path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> Path:
    """A safetensors file of the right size that takes no room on the disk."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        end = at + prod(shape) * _BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return path


@pytest.fixture
def models(tmp_path: Path, home: Path) -> Path:
    """A folder of real layouts, in no catalog."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("sd15", "sd21", "sdxl", "lora-sd15-kohya", "vae-sd"):
        sparse(folder / f"{name}.safetensors", layout(name))
    sparse(folder / "il.safetensors", layout("lora-sdxl-kohya"), {"ss_sd_model_name": "illustriousXL_v01"})
    return folder


def test_a_pair_that_fits(run, home):
    result = run("lora", "check", LORA, BASE)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "compatible: sd1, 192 of 192 modules fit"
    assert "modules      U-Net 192 of 192" in lines
    assert lines[-1] == "not checked  values of the weights, alpha, quality of the training"


def test_a_pair_that_does_not_exits_with_4_and_says_why(run, models):
    result = run("lora", "check", models / "lora-sd15-kohya.safetensors", models / "sd21.safetensors")
    assert (result.code, result.err) == (4, "")
    assert result.out.startswith("incompatible: sd1, 160 of 264 modules fit. The LoRA is for Stable Diffusion 1.x")
    assert "U-Net 160 of 192 (32 of other sizes), OpenCLIP-H 0 of 72 (72 of other sizes)" in result.out
    assert result.out.count("LoRA in 768, checkpoint model.diffusion_model.") == 3


def test_the_answer_in_json(run, models):
    lora, model = models / "lora-sd15-kohya.safetensors", models / "sd21.safetensors"
    result = run("lora", "check", lora, model, "--json")
    found = result.json
    assert (result.code, found["verdict"], found["base"]) == (4, "incompatible", ["sd1"])
    assert (found["lora"], found["checkpoint"]) == (str(lora), str(model))
    assert found["counts"] == {"unet": {"dim-mismatch": 32, "ok": 160}, "te1": {"dim-mismatch": 72}}
    assert [one["id"] for one in found["reasons"]] == ["other-architecture", "sizes-differ"]
    assert found["mismatches"][0]["state"] == "dim-mismatch"
    assert run("lora", "check", LORA, BASE, "--json").json["verdict"] == "compatible"


def test_several_against_one(run, models):
    loras = [models / "lora-sd15-kohya.safetensors", models / "il.safetensors"]
    result = run("lora", "check", *loras, models / "sdxl.safetensors")
    assert result.code == 4
    head, first, second = result.out.splitlines()
    assert head.split() == ["VERDICT", "LORA", "WHY"]
    assert "incompatible" in first and "lora-sd15-kohya" in first
    assert "compatible" in second and "il" in second
    answers = run("lora", "check", *loras, models / "sdxl.safetensors", "--json").json
    assert [one["verdict"] for one in answers] == ["incompatible", "compatible"]
    assert run("lora", "check", loras[1], loras[1], models / "sdxl.safetensors").code == 0


def test_names_of_the_catalog_and_what_it_knows(run, models, home):
    noob = models / "noob-mix.safetensors"
    sparse(noob, layout("sdxl"))
    (models / "noob-mix.civitai.info").write_text(json.dumps({"baseModel": "NoobAI", "model": {"name": "Mix"}}))
    unscanned = run("lora", "check", models / "il.safetensors", noob, "--json").json
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    scanned = run("lora", "check", "il", "noob-mix", "--json").json
    for found in (unscanned, scanned):
        assert (found["verdict"], found["lineage"]["rule"]) == ("caution", "illustrious-noobai")
        assert found["lineage"]["checkpoint"] == "noobai"
    shown = run("lora", "check", "il", "noob-mix").out
    assert 'lineage      the LoRA: trained on "illustriousXL_v01" (ss_sd_model_name)' in shown
    assert "this checkpoint: NoobAI (declared in a file beside it: NoobAI)" in shown


def test_the_file_that_it_was_trained_on_is_named(run, models, home):
    sparse(models / "mine.safetensors", layout("lora-sd15-kohya"), {"ss_new_sd_model_hash": "ab" * 32})
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
        with catalog.atomic():
            catalog.rows("UPDATE assets SET sha256 = ? WHERE name = 'sd15.safetensors'", ["ab" * 32])
    assert "trained on this checkpoint" in run("lora", "check", "mine", "sd15").out
    other = sparse(models / "other.safetensors", layout("sd15"))
    assert 'trained on "sd15.safetensors", which is in the library' in run("lora", "check", "mine", other).out


def test_a_row_that_is_older_than_its_file_is_not_believed(run, models, home):
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    sparse(models / "sd15.safetensors", layout("sdxl"))
    assert run("lora", "check", "lora-sd15-kohya", "sd15").code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sd15", "lora-sd15-kohya"), "The checkpoint comes last"),
        (("vae-sd", "lora-sd15-kohya"), "of kind lora, no checkpoint"),
        (("lora-sd15-kohya", "vae-sd"), "of kind vae, no checkpoint"),
        (("sd15", "sdxl"), "is a checkpoint, no LoRA"),
    ],
)
def test_what_is_no_pair_is_refused_and_said(run, models, words, said):
    paths = [models / f"{word}.safetensors" for word in words]
    result = run("lora", "check", *paths)
    assert (result.code, result.out) == (2, "")
    assert said in " ".join(result.err.split())
    assert run("lora", "check", *paths, "--json").error["code"] == "usage"


def test_nothing_to_check(run, home):
    assert run("lora", "check").code == 2
    missing = run("lora", "check", "nobody.safetensors", BASE, "--json")
    assert (missing.code, missing.error["code"]) == (2, "not-found")


def test_other_companions_of_a_model_get_an_answer(run, models):
    embedding = data_path("demo", "sundisc.safetensors")
    assert run("lora", "check", embedding, BASE, "--json").json["verdict"] == "compatible"
    assert run("lora", "check", embedding, models / "sdxl.safetensors").code == 4
    vae = run("lora", "check", models / "vae-sd.safetensors", models / "sd15.safetensors", "--json")
    assert (vae.code, vae.json["verdict"]) == (0, "caution")


def test_names_in_a_file_reach_the_terminal_as_escapes(run, models):
    hostile = "lora_unet_\x1b[31mred\n[bold]"
    tensors = {f"{hostile}.lora_down.weight": ("F16", (4, 8)), f"{hostile}.lora_up.weight": ("F16", (8, 4))}
    path = sparse(
        models / "odd.safetensors", {**layout("lora-sd15-kohya"), **tensors}, {"ss_sd_model_name": "anything-v4\x1b[2J"}
    )
    result = run("lora", "check", path, models / "sd15.safetensors")
    assert "\x1b" not in result.out
    assert "\\x1b[31mred\\x0a[bold]" in result.out
    assert "\x1b" not in run("lora", "check", path, models / "sd15.safetensors", "--json").out


def test_it_starts_with_neither_torch_nor_numpy(models, home):
    Catalog.open(home).close()  # making the first one takes a library that loads numpy
    heavy = "{'torch', 'numpy', 'textual', 'diffusers'} & set(sys.modules)"
    code = f"import sys; from modelhub.cli.console import main; main(sys.argv[1:]); print(*{heavy})"
    words = ["lora", "check", str(models / "il.safetensors"), str(models / "sdxl.safetensors")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_nothing_is_said_twice(run, models):
    out = run("lora", "check", data_path("demo", "sundisc.safetensors"), models / "sdxl.safetensors").out
    lines = [line.partition("  ")[2].strip() for line in out.splitlines()[1:]]
    assert not [line for line in lines if len(line) > 30 and out.count(line) > 1]
    vae = run("lora", "check", models / "vae-sd.safetensors", models / "sdxl.safetensors").out
    assert "worst" not in vae
