"""recipe, remake, lineage: what a merged file says of itself, and what can be made of it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelhub.demo.library import Library
from modelhub.formats.safetensors import read_header

Run = Callable[..., Any]
A, B, BASE = "tiny-shapes-stripes", "tiny-shapes-pastel", "tiny-shapes-base"


@pytest.mark.parametrize(
    "words",
    [
        ["weighted-sum", A, B, "--blocks", "GRAD_V,te1=0.5,*attn2*=0"],
        ["ties", BASE, A, B, "--density", "0.3"],
        ["dare", BASE, A, B, "--seed", "11", "--combine", "ties"],
        ["average", A, B, BASE, "--weights", "3,1,2", "--dtype", "bf16"],
        ["add-difference", A, B, BASE, "--only", "unet", "--vae", "B", "--name", "odd \u2028 name"],
    ],
)
def test_a_merged_file_is_made_again(words: list[str], run: Run, library: Library, tmp_path: Path) -> None:
    first, again, third = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "third"))
    made = run("merge", *words, "-o", first)
    assert made.code == 0, made
    made = run("remake", first, "-o", again)
    assert made.code == 0, made
    assert again.read_bytes() == first.read_bytes()
    (tmp_path / "r.toml").write_text(run("recipe", again).out, encoding="utf-8")
    assert run("merge", tmp_path / "r.toml", "-o", third).code == 0
    assert third.read_bytes() == first.read_bytes()


def test_a_parent_that_moved_is_found_by_its_hash(run: Run, library: Library, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    tensors = load_file(library.pastel)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + np.float16(1)}, mine)
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    first = tmp_path / "first.safetensors"
    assert run("merge", "weighted-sum", A, mine, "-o", first).code == 0
    mine.rename(tmp_path / "other name.safetensors")
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    assert run("remake", first, "-o", tmp_path / "again.safetensors").code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == first.read_bytes()


def test_remake_refuses_what_merge_refuses(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "o.safetensors"
    refused = run("remake", BASE, "-o", goal, "--json")
    assert (refused.code, refused.error["code"]) == (2, "not-found") and "no recipe" in refused.error["message"]
    assert run("merge", "weighted-sum", A, B, "-o", goal).code == 0
    refused = run("remake", "o", "-o", goal, "--json")
    assert (refused.code, refused.error["code"]) == (3, "file-exists")
    dry = run("remake", "o", "-o", tmp_path / "p.safetensors", "--dry-run", "--json")
    assert dry.json["merged"] > 600 and not (tmp_path / "p.safetensors").exists()


@pytest.fixture
def foreign(library: Library, tmp_path: Path) -> Callable[..., Path]:
    """A small file with metadata of another program."""

    def make(name: str, **metadata: str) -> Path:
        goal = tmp_path / f"{name}.safetensors"
        save_file({"x": np.zeros(4, np.float16)}, goal, metadata)
        return goal

    return make


def test_a_recipe_of_a1111_is_printed_as_ours_and_made_again(
    run: Run, library: Library, tmp_path: Path, foreign: Callable[..., Path]
) -> None:
    hashes = [run("show", name, "--json").json["sha256"] for name in (A, B)]
    theirs = {
        "type": "webui", "primary_model_hash": hashes[0], "secondary_model_hash": hashes[1],
        "tertiary_model_hash": None, "interp_method": "Weighted sum", "multiplier": 0.3, "save_as_half": False,
        "custom_name": "x", "config_source": 0, "bake_in_vae": "None", "discard_weights": "",
        "is_inpainting": False, "is_instruct_pix2pix": False,
    }  # fmt: skip
    known = {
        hash: {"name": name, "legacy_hash": "00000000", "sd_merge_recipe": None}
        for hash, name in zip(hashes, (A, B), strict=True)
    }
    file = foreign("theirs", sd_merge_recipe=json.dumps(theirs), sd_merge_models=json.dumps(known))
    printed = run("recipe", file)
    assert printed.code == 0 and 'method = "weighted-sum"' in printed.out and "alpha = 0.3" in printed.out
    answer = run("recipe", file, "--json").json
    assert answer["recipe"] == printed.out and isinstance(answer["notes"], list)
    goal = tmp_path / "again.safetensors"
    assert run("remake", file, "-o", goal).code == 0
    name = "model.diffusion_model.input_blocks.0.0.weight"
    a, b = (load_file(path)[name].astype(np.float64) for path in (library.stripes, library.pastel))
    assert np.abs(load_file(goal)[name] - (0.7 * a + 0.3 * b)).max() < 1e-3


@pytest.mark.parametrize(
    "metadata",
    [
        {"sd_merge_recipe": "{"},
        {"sd_merge_recipe": '{"type": "other"}'},
        {"mecha_recipe": "version 9\nmodel"},
        {"modelhub.recipe": "[[steps"},
    ],
)
def test_a_recipe_that_cannot_be_read_is_told(
    metadata: dict[str, str], run: Run, library: Library, tmp_path: Path, foreign: Callable[..., Path]
) -> None:
    file = foreign("odd", **metadata)
    refused = run("remake", file, "-o", tmp_path / "o.safetensors", "--json")
    assert (refused.code, refused.error["code"]) == (2, "bad-recipe")
    assert "odd.safetensors" in refused.error["message"] and refused.error["hint"]


def test_provenance_names_the_parents(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "o.safetensors"
    assert run("merge", "weighted-sum", A, B, "-o", goal).code == 0
    metadata = read_header(goal).metadata
    assert set(json.loads(metadata["sd_merge_models"])) == {
        run("show", name, "--json").json["sha256"] for name in (A, B)
    }


def test_a_merge_of_files_that_no_catalog_knows_moves_to_another_machine(
    run: Run, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "jane's models", tmp_path / "there"
    here.mkdir()
    parents = [shutil.copy(path, here / f"my {path.name}") for path in (library.stripes, library.pastel)]
    first = here / "first.safetensors"
    saved = here / "mine.toml"
    assert run("merge", "weighted-sum", *parents, "-o", first, "--save-recipe", saved).code == 0
    header = json.dumps(read_header(first).metadata)
    assert "jane" not in header and str(tmp_path) not in header
    assert f'ref = "{parents[0]}"' in saved.read_text(encoding="utf-8"), "what was typed"
    here.rename(there)
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "another home"))
    made = run("remake", there / "first.safetensors", "-o", tmp_path / "again.safetensors")
    assert made.code == 0, made
    assert (tmp_path / "again.safetensors").read_bytes() == (there / "first.safetensors").read_bytes()
    recipe = there / "printed.toml"
    recipe.write_text(run("recipe", there / "first.safetensors").out, encoding="utf-8")
    for text in (recipe, there / "mine.toml"):
        assert run("merge", text, "-o", tmp_path / "third.safetensors", "--force").code == 0
        assert (tmp_path / "third.safetensors").read_bytes() == (there / "first.safetensors").read_bytes()


# -- lineage -----------------------------------------------------------------------------------------------------------


def test_lineage_up_and_down(run: Run, library: Library, tmp_path: Path) -> None:
    half, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    assert run("merge", "weighted-sum", A, B, "--alpha", "0.3", "-o", half).code == 0
    assert run("merge", "add-difference", half, B, BASE, "-o", whole).code == 0
    tree = run("lineage", "whole", "--json").json
    assert [step["method"] for step in tree["steps"]] == ["add-difference"]
    first = tree["parents"][0]
    assert (first["letter"], first["path"]) == ("A", str(half))
    assert first["steps"][0]["alpha"] == 0.3
    assert [Path(one["path"]).stem for one in first["parents"]] == [A, B]
    assert [(use["depth"], Path(use["path"]).stem) for use in run("lineage", A, "--json").json["used_by"]] == [
        (1, "half"),
        (2, "whole"),
    ]
    told = run("lineage", "whole").out
    assert "weighted-sum A B  alpha 0.3" in told
    assert [line.count(A) for line in told.splitlines()].count(1) == 1
    below = run("lineage", A).out
    assert "carries no recipe" in below and "by way of 1 other" in below


def test_an_ancestor_whose_file_is_gone_is_told_and_made_again(run: Run, library: Library, tmp_path: Path) -> None:
    half, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    assert run("merge", "weighted-sum", A, B, "--alpha", "0.3", "-o", half).code == 0
    assert run("merge", "weighted-sum", half, BASE, "-o", whole).code == 0
    before = half.read_bytes()
    half.unlink()
    assert run("scan", tmp_path).code == 0
    assert "weighted-sum A B  alpha 0.3" in run("lineage", whole).out
    refused = run("remake", whole, "-o", tmp_path / "again.safetensors", "--json")
    assert refused.code in (2, 3) and refused.error["hint"]
    assert "alpha = 0.3" in run("recipe", whole, "--ancestor", "half").out
    made = run("remake", whole, "--ancestor", "half", "-o", half)
    assert made.code == 0, made
    assert half.read_bytes() == before
    unknown = run("recipe", whole, "--ancestor", "nobody", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "not-found") and "half" in unknown.error["hint"]
