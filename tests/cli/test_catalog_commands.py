"""scan, ls, show, tags on the demo's library, and on names that nobody should give a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.demo.library import Library

Run = Callable[..., Any]
MakeFile = Callable[..., Path]
ASSET_KEYS = {
    "id",
    "path",
    "kind",
    "architecture",
    "variant",
    "format",
    "layout",
    "prediction",
    "dtypes",
    "parameters",
    "size",
    "sha256",
    "blake3",
    "crc32",
    "autov1",
    "autov2",
    "autov3",
    "components",
    "adapter",
    "tags",
    "rating",
    "notes",
    "trigger_words",
    "source",
    "confidence",
    "evidence",
}
KINDS = {
    "checkpoint",
    "diffusion-model",
    "vae",
    "text-encoder",
    "lora",
    "embedding",
    "controlnet",
    "t2i-adapter",
    "ip-adapter",
    "hypernetwork",
    "clip-vision",
    "motion-module",
    "upscaler",
    "other",
    "unknown",
}
HOSTILE = "a\nb\x1b]0;title\x07\x1b[31m[bold]\"q' $(reboot) `x` \u202etxt.safetensors"


def names(found: Any) -> list[str]:
    return [Path(asset["path"]).name for asset in found.json]


def test_a_first_scan_a_second_and_a_loss(run: Run, demo_library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(demo_library.folder / "loras", folder / "loras")
    shutil.copytree(demo_library.folder / "embeddings", folder / "embeddings")
    (folder / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    first = run("scan", folder, "--hash", "fast", "--json")
    assert first.code == 0 and set(first.json) >= {
        "roots", "files", "added", "updated", "moved", "missing", "unchanged", "problems", "seconds"
    }  # fmt: skip
    found = first.json
    assert (found["roots"], found["files"], found["added"], found["unchanged"]) == ([str(folder)], 4, 4, 0)
    assert [set(problem) for problem in found["problems"]] == [{"path", "code", "message"}]
    assert found["problems"][0]["path"] == str(folder / "broken.safetensors")
    events = [json.loads(line) for line in first.err.splitlines()]
    assert {event["phase"] for event in events} >= {"walking", "indexing", "hashing"}
    assert [e for e in events if e["level"] == "warning" and "broken.safetensors" in e["item"]]
    (folder / "embeddings" / "sundisc.pt").unlink()
    (folder / "loras").rename(folder / "other")
    again = run("scan")
    assert again.code == 0 and again.out.startswith("3 files in ") and "1 moved, 1 missing" in again.out
    assert names(run("ls", "missing:yes", "--json")) == ["sundisc.pt"]
    assert names(run("ls", "problem:yes", "--json")) == ["broken.safetensors"]
    assert "✗ sundisc.pt" in run("ls").out


@pytest.mark.parametrize(
    ("mode", "known"),
    [
        ("none", set()),
        ("fast", {"sha256", "blake3", "autov2"}),
        ("full", {"sha256", "blake3", "autov2", "crc32", "autov3"}),
    ],
)
def test_what_a_scan_hashes(mode: str, known: set[str], run: Run, demo_library: Library) -> None:
    assert run("scan", demo_library.folder / "loras", "--hash", mode).code == 0
    (asset,) = run("ls", "--json").json
    hashes = ("sha256", "blake3", "crc32", "autov1", "autov2", "autov3")
    assert {name for name in hashes if asset[name]} == known, "autov1 needs a file of more than 1 MiB"


def test_a_scan_without_a_folder_and_an_empty_catalog(run: Run) -> None:
    assert run("scan", "--json").error["code"] == "usage"
    empty = run("ls")
    assert (empty.code, empty.out) == (0, "") and "modelhub scan" in empty.err
    assert run("ls", "--json").json == [] and run("tags", "--json").json == {}


@pytest.mark.usefixtures("library")
def test_every_asset_has_the_keys_of_the_contract(run: Run) -> None:
    assets = run("ls", "--json").json
    assert len(assets) == 9
    for asset in assets:
        assert set(asset) >= ASSET_KEYS
        assert asset["kind"] in KINDS
        assert run("show", f"#{asset['id']}", "--json").json == asset
        assert run("show", asset["path"], "--json").json == asset
        assert not [key for key in ASSET_KEYS if asset[key] == ""] or asset["notes"] == ""
    base = next(asset for asset in assets if asset["path"].endswith("base.safetensors"))
    assert (base["kind"], base["architecture"], base["format"], base["layout"]) == (
        "checkpoint",
        "sd1",
        "safetensors",
        "ldm",
    )
    assert (base["rating"], base["variant"], base["adapter"], base["source"]) == (None, None, None, None)
    assert base["size"] == Path(base["path"]).stat().st_size
    pickle = next(asset for asset in assets if asset["path"].endswith("sundisc.pt"))
    assert (pickle["format"], pickle["architecture"], pickle["parameters"], pickle["autov3"]) == (
        "pickle",
        None,
        64,
        None,
    )


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kind:checkpoint", "-name:base"], ["tiny-shapes-pastel.safetensors", "tiny-shapes-stripes.safetensors"]),
        (["-kind:checkpoint", "kind:lora", "OR", "-format:safetensors", "name:sundisc"], ["sundisc.pt", "tiny-shapes-framed-lora.safetensors"]),
        (["kind:checkpoint", "--sort", "name", "--reverse", "--limit", "1", "name:s*"], ["tiny-shapes-stripes.safetensors"]),
        (["(kind:lora", "OR", "kind:embedding)"], ["sundisc.pt", "sundisc.safetensors", "tiny-shapes-framed-lora.safetensors"]),
        (["size:>20MB", "--sort", "size", "--limit", "2", "--json"], None),
        (["framed lora"], []),
        (["framed-lora", "arch:sd1"], ["tiny-shapes-framed-lora.safetensors"]),
        (["-OR"], []),
    ],
)  # fmt: skip
def test_queries(words: list[str], expected: list[str] | None, run: Run) -> None:
    found = run("ls", *words, "--json")
    if expected == []:
        assert found.code in (0, 2)
        return
    assert found.code == 0, found
    assert names(found) == expected if expected is not None else len(found.json) == 2


@pytest.mark.usefixtures("library")
def test_a_query_with_a_mistake_shows_where(run: Run) -> None:
    told = run("ls", "kind:lora", "bogus:1")
    assert told.code == 2 and "\n  kind:lora bogus:1\n            ^\n" in told.err
    assert "no field 'bogus'" in told.err and "trigger" in told.err


def test_a_name_that_is_an_attack_is_shown_as_escapes_and_can_be_named(
    run: Run, make_file: MakeFile, tmp_path: Path
) -> None:
    path = make_file(
        f"models/{HOSTILE}", {"emb_params": np.zeros((1, 768), np.float32)}, {"modelspec.title": "T\x1b[2J\nU"}
    )
    make_file("models/[red]plain.safetensors", {"emb_params": np.ones((1, 768), np.float32)})
    assert run("scan", tmp_path / "models").code == 0
    for words in (
        ["ls"],
        ["show", path],
        ["show", HOSTILE],
        ["identify", path],
        ["hash", path],
        ["note", path, "hi"],
        ["tag", path, "--add", "x"],
    ):
        told = run(*words)
        assert told.code == 0, told
        assert not set(told.out + told.err) & set("\x1b\x07\u202e") and r"\x1b" in told.out, words
    assert len(run("ls").out.splitlines()) == 3 and "[red]plain.safetensors" in run("ls").out
    assert run("show", path).out.splitlines()[0] == r"T\x1b[2J\x0aU"
    assert run("ls", "name:reboot", "--json").json[0]["path"] == str(path)
    lost = run("show", "x\x1b[31m")
    assert lost.code == 2 and "\x1b" not in lost.err


def test_a_ref_that_names_two(run: Run, make_file: MakeFile, tmp_path: Path) -> None:
    for number in (1, 2):
        make_file(f"models/{number}/same.safetensors", {"emb_params": np.full((1, 768), number, np.float32)})
    run("scan", tmp_path / "models", "--hash", "fast")
    error = run("show", "same", "--json").error
    assert error["code"] == "ambiguous" and "models/1/same" in error["message"] and "models/2/same" in error["message"]
    assert run("show", "same").code == 2
    sha256 = run("ls", "--json").json[0]["sha256"]
    assert run("show", sha256[:6].upper(), "--json").json["sha256"] == sha256
    assert run("show", sha256[:5]).code == 2
    assert run("show", "SAME.SAFETENSORS").code == 2


@pytest.mark.usefixtures("library")
def test_tags_are_counted(run: Run) -> None:
    run("tag", "#1", "#2", "--add", "style")
    run("tag", "#1", "--add", "first")
    assert run("tags", "--json").json == {"style": 2, "first": 1}
    assert [line.split() for line in run("tags").out.splitlines()] == [["2", "style"], ["1", "first"]]
