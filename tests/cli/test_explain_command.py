"""explain: weights are found again in merges of the demo's models, and what is from none of them is said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from modelhub.demo.library import Library

Run = Callable[..., Any]
A, B, BASE = "tiny-shapes-stripes", "tiny-shapes-pastel", "tiny-shapes-base"


@pytest.fixture
def mix(run: Run, library: Library, tmp_path: Path) -> Path:
    goal = tmp_path / "mix.safetensors"
    assert run("merge", "weighted-sum", A, B, "--alpha", "0.25", "-o", goal).code == 0
    return goal


def test_a_merge_is_explained_and_its_recipe_makes_it_again(run: Run, mix: Path, tmp_path: Path) -> None:
    said = run("explain", mix, "--from", BASE, "--from", A, "--from", B)
    assert said.code == 0 and said.err == ""
    assert said.out.splitlines()[0] == "mix: a weighted sum: 0.75·B + 0.25·C"
    assert "te1: the same in A, B, C." in said.out
    answer = run("explain", mix, "--from", A, "--from", B, "--json").json
    assert (answer["form"], answer["verdict"], answer["parents"][1]["name"]) == ("weighted-sum", "exact to rounding", B)
    recipe = tmp_path / "found.toml"
    recipe.write_text(answer["recipe"], encoding="utf-8")
    assert run("merge", recipe, "-o", tmp_path / "again.safetensors").code == 0
    one, two = load_file(mix), load_file(tmp_path / "again.safetensors")
    assert all((one[name] == two[name]).all() for name in one)


def test_without_from_the_library_is_searched(run: Run, mix: Path) -> None:
    said = run("explain", mix)
    assert said.code == 0 and said.err.startswith("likeliest: ")
    assert said.out.splitlines()[0].startswith("mix: a weighted sum: ")
    assert {A, B} <= set(said.out.replace("/", " ").split())


def test_levels_and_json(run: Run, mix: Path) -> None:
    counts = {}
    for by in ("component", "block", "tensor"):
        fits = run("explain", mix, "--from", A, "--from", B, "--by", by, "--json").json["fits"]
        counts[by] = len(fits)
        assert all(set(fit["weights"]) == {"A", "B"} for fit in fits)
    assert counts["component"] == 3 < counts["block"] < counts["tensor"]
    lines = run("explain", mix, "--from", A, "--from", B, "--by", "block").out.splitlines()
    assert any(line.startswith("unet IN05 ") for line in lines)
    quick = run("explain", mix, "--from", A, "--from", B, "--quick")
    assert "A sample of each tensor was read" in quick.out


def test_not_from_these(run: Run, library: Library, tmp_path: Path) -> None:
    said = run("explain", BASE, "--from", A, "--json").json
    assert (said["verdict"], said["form"], said["recipe"]) == ("not from these", "none", None)
    assert run("explain", A, "--from", A, "--json").json["form"] == "copy"


def test_refusals(run: Run, library: Library, tmp_path: Path) -> None:
    refused = run("explain", "nowhere", "--from", A, "--json")
    assert (refused.code, refused.error["code"]) == (2, "not-found")
    lora = run("explain", A, "--from", library.lora, "--json")
    assert (lora.code, lora.error["code"]) == (4, "incompatible")
    save_file(
        {name: value for name, value in load_file(library.base).items() if "decoder" in name},
        tmp_path / "a.safetensors",
    )
    assert run("explain", tmp_path / "a.safetensors", "--json").code in (2, 4)


def test_names_of_files_cannot_talk_to_the_terminal(run: Run, library: Library, tmp_path: Path) -> None:
    strange = tmp_path / "a\x1b[31m [bold]x.safetensors"
    strange.write_bytes(library.base.read_bytes())
    said = run("explain", strange, "--from", strange)
    assert said.code == 0 and "\x1b" not in said.out and "[bold]" in said.out
