"""merge, methods, recipe: what is written, what never is, and how a merge ends that was stopped or found no room."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from modelhub.catalog.store import Catalog
from modelhub.demo.library import Library
from modelhub.formats.header import Header
from modelhub.formats.safetensors import read_header

Run = Callable[..., Any]
LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
STYLES = ("tiny-shapes-stripes", "tiny-shapes-pastel")


def state(*folders: Path) -> dict[Path, tuple[int, int]]:
    """Every file below the folders with its size and time."""
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found if not path.name.startswith("catalog.db")
    }


def hollow(path: Path, layout: str, divisor: int = 1) -> Path:
    """A checkpoint of a real layout in fp16, whose data are a hole: gigabytes that take no room."""
    import lzma

    table = json.loads(lzma.decompress((LAYOUTS / f"{layout}.json.xz").read_bytes()))
    entries = [
        (name, "F16" if dtype == "F32" else dtype, tuple(size // divisor if size >= 256 else size for size in shape))
        for name, (dtype, *shape) in table.items()
    ]
    header = Header.of(entries)
    with path.open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)
    return path


# -- what is written ---------------------------------------------------------------------------------------------------


def test_a_merge_is_written_indexed_and_found(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "soft.safetensors"
    words = ["weighted-sum", STYLES[0], "--alpha", "0.25", STYLES[1], "-o", goal, "--name", "Soft", "--hash"]
    found = run("merge", *words, "--json")
    assert found.code == 0, found
    answer = found.json
    assert (answer["path"], answer["size"]) == (str(goal), goal.stat().st_size)
    sha256 = subprocess.run(["sha256sum", goal], capture_output=True, text=True, check=True).stdout.split()[0]
    assert answer["sha256"] == sha256
    events = [json.loads(line) for line in found.err.splitlines()]
    assert [e for e in events if e["phase"] == "writing"][-1]["done"] == answer["size"]
    assert not [e for e in events if e["phase"] == "hashing"], "the catalog knew the hashes"
    (row,) = run("ls", "merged:yes", "--json").json
    assert (row["id"], row["sha256"], row["autov2"], row["title"]) == (answer["id"], sha256, sha256[:10], "Soft")
    assert run("show", "soft", "--json").json == row
    assert run("show", sha256[:8], "--json").json["path"] == str(goal)
    assert run("hash", goal, "--json").json["autov3"] == row["autov3"] == answer["autov3"]
    stripes, pastel, merged = load_file(library.stripes), load_file(library.pastel), load_file(goal)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    expected = 0.75 * stripes[name].astype(np.float32) + 0.25 * pastel[name].astype(np.float32)
    assert np.abs(merged[name] - expected).max() < 1e-3 and list(merged) == list(stripes)


def test_a_merge_is_hashed_later_if_nobody_asks(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "soft.safetensors"
    answer = run("merge", "weighted-sum", *STYLES, "-o", goal, "--json").json
    assert answer["sha256"] is answer["autov3"] is None
    assert run("show", "soft", "--json").json["sha256"] is None
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    sha256 = hashlib.sha256(goal.read_bytes()).hexdigest()
    assert run("show", sha256[:8], "--json").json["path"] == str(goal)


def test_a_recipe_makes_the_same_file_again(run: Run, library: Library, tmp_path: Path) -> None:
    first, again, third = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "third"))
    recipe = tmp_path / "my.toml"
    words = ["merge", "add-difference", *STYLES, "tiny-shapes-base", "--alpha", "0.8", "-o", first]
    assert run(*words, "--save-recipe", recipe).code == 0
    printed = run("recipe", first)
    assert printed.out == recipe.read_text() == read_header(first).metadata["modelhub.recipe"]
    assert run("recipe", "first", "--json").json == {"path": str(first), "recipe": printed.out}
    assert run("merge", recipe, "-o", again).code == 0
    assert again.read_bytes() == first.read_bytes()
    (tmp_path / "printed.toml").write_text(printed.out)
    assert run("merge", tmp_path / "printed.toml", "-o", third).code == 0
    assert third.read_bytes() == first.read_bytes()
    refused = run("merge", recipe, "--alpha", "0.0", "-o", tmp_path / "x.safetensors")
    assert refused.code == 2 and "--alpha" in refused.err


def test_a_recipe_keeps_names_that_a_terminal_would_not_show(run: Run, library: Library, tmp_path: Path) -> None:
    odd = tmp_path / "a\u3000b\u00a0c\u2028d.safetensors"
    shutil.copy(library.base, odd)
    goal, recipe = tmp_path / "o.safetensors", tmp_path / "r.toml"
    assert run("merge", "weighted-sum", odd, library.pastel, "-o", goal).code == 0
    recipe.write_text(run("recipe", goal).out)
    assert run("merge", recipe, "-o", tmp_path / "again.safetensors").code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == goal.read_bytes()


def test_a_picture_of_the_unwritten_merge_is_that_of_the_file(run: Run, library: Library, tmp_path: Path) -> None:
    goal, recipe, direct, after = (tmp_path / name for name in ("m.safetensors", "m.toml", "recipe.png", "file.png"))
    prompt = "a red circle on a blue background"
    merged = run("merge", "weighted-sum", *STYLES, "-o", goal, "--save-recipe", recipe, "--preview", prompt)
    assert merged.code == 0 and "preview of the unwritten merge" in merged.err
    settings = ["-p", prompt, "--steps", "3", "--size", "64x64", "--cfg", "3.5", "--seed", "7"]
    assert run("preview", recipe, *settings, "-o", direct).code == 0
    assert run("preview", "m", *settings, "-o", after).code == 0
    pixels = [np.array(Image.open(path)) for path in (direct, after)]
    assert pixels[0].shape == (64, 64, 3) and pixels[0].std() > 10
    assert (pixels[0] == pixels[1]).all(), "byte for byte"
    assert run("preview", goal, "-p", prompt, "-o", tmp_path / "default.png").code == 0
    whole = [np.array(Image.open(path)) for path in (tmp_path / "m.preview.png", tmp_path / "default.png")]
    assert (whole[0] == whole[1]).all()


def test_methods(run: Run) -> None:
    found = run("methods", "--json").json
    assert {"weighted-sum", "add-difference"} <= {method["name"] for method in found}
    assert {frozenset(method) >= {"name", "inputs", "formula", "parameters"} for method in found} == {True}
    told = run("methods").out
    assert "(1 − α)·A + α·B" in told and "A + α·(B − C)" in told and "--alpha" in told
    assert all(sum(line.startswith(f"  {method['name']} ") for line in told.splitlines()) == 1 for method in found)


def test_one_method(run: Run) -> None:
    told = run("methods", "ties").out
    for word in ("base", "--density", "default 0.2", "arXiv:2306.01708", "modelhub merge ties base A B"):
        assert word in told, word
    found = run("methods", "ties", "--json").json
    assert (found["name"], found["many"], found["names"][0]) == ("ties", True, "base")
    refused = run("methods", "teis", "--json")
    assert (refused.code, refused.error["code"]) == (2, "not-found") and "ties" in refused.error["hint"]


def test_every_example_of_a_method_is_a_command(run: Run, library: Library, tmp_path: Path) -> None:
    models = iter(["tiny-shapes-base", *STYLES] * 100)
    for method in run("methods", "--json").json:
        words = method["example"].split()[2:-1]
        given = [word if not (word.isupper() or word == "base") else next(models) for word in words]
        done = run("merge", *given, tmp_path / "o.safetensors", "--dry-run", "--json")
        assert done.code == 0, (method["example"], done)
        assert done.json["passes"] == method["passes"], method["name"]


def test_presets(run: Run) -> None:
    found = {preset["name"]: preset for preset in run("presets", "--json").json}
    assert len(found) > 40
    assert list(found["GRAD_V"]["weights"].values())[:3] == [0, 1, pytest.approx(11 / 12)]
    assert {len(preset["weights"]) for preset in found.values()} == {26}
    assert {len(preset["weights"]) for preset in run("presets", "--for", "flux1", "--json").json} == {61}
    assert "OUT11  1" in run("presets", "grad_v").out
    refused = run("presets", "--for", "sd9", "--json")
    assert (refused.code, refused.error["code"]) == (2, "not-found") and "sdxl" in refused.error["hint"]
    assert "GRAD_V" in run("presets", "GRAD_W", "--json").error["hint"]


# -- what is never written ---------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "o.safetensors"
    before = state(tmp_path, library.folder)
    with Catalog.open() as catalog:
        rows = list(catalog._connection.iterdump())
    words = [
        "merge",
        "weighted-sum",
        *STYLES,
        "-o",
        goal,
        "--dry-run",
        "--preview",
        "x",
        "--save-recipe",
        tmp_path / "r.toml",
    ]
    found = run(*words, "--json")
    assert found.code == 0 and found.json["merged"] > 600 and "weighted-sum" in found.json["recipe"]
    assert f"would write {goal}: 23.8 MB" in run(*words).out
    told = run(*words, "--blocks", "OUT11=0.25").out
    assert "244 copied: a VAE is copied, not merged" in told
    assert next(line.split()[:3] for line in told.splitlines() if "OUT11" in line) == ["unet", "OUT11", "0.25"]
    assert state(tmp_path, library.folder) == before
    with Catalog.open() as catalog:
        assert list(catalog._connection.iterdump()) == rows
    assert run("merge", "weighted-sum", *STYLES, "-o", goal).code == 0
    assert goal.stat().st_size == found.json["size"]


@pytest.mark.parametrize("occupied", ["o.safetensors", "r.toml", "o.preview.png"])
def test_a_file_is_replaced_with_force_only(occupied: str, run: Run, library: Library, tmp_path: Path) -> None:
    (tmp_path / occupied).write_bytes(b"mine")
    words = ["merge", "weighted-sum", *STYLES, "-o", tmp_path / "o.safetensors"]
    words += ["--save-recipe", tmp_path / "r.toml", "--preview", "a star"]
    before = state(tmp_path)
    refused = run(*words, "--json")
    assert (refused.code, refused.error["code"]) == (3, "file-exists") and "--force" in refused.error["hint"]
    assert state(tmp_path) == before
    assert run(*words, "--force").code == 0
    assert (tmp_path / occupied).read_bytes() != b"mine"


def test_the_result_is_not_one_of_the_parents(run: Run, library: Library, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    shutil.copy(library.base, mine)
    os.link(mine, tmp_path / "link.safetensors")
    (tmp_path / "soft.safetensors").symlink_to(mine)
    before = mine.read_bytes()
    for goal in (mine, tmp_path / "link.safetensors", tmp_path / "soft.safetensors"):
        refused = run("merge", "weighted-sum", mine, library.pastel, "-o", goal, "--force", "--json")
        assert (refused.code, refused.error["code"]) == (2, "usage") and "one of the models" in refused.error["message"]
    assert mine.read_bytes() == before and (tmp_path / "soft.safetensors").is_symlink()


def test_two_architectures_are_refused_by_their_headers(run: Run, tmp_path: Path) -> None:
    """Ten gigabytes that nobody reads: no event but the error."""
    one, two = hollow(tmp_path / "one.safetensors", "sd15"), hollow(tmp_path / "two.safetensors", "sdxl")
    refused = run("merge", "weighted-sum", one, two, "-o", tmp_path / "o.safetensors", "--json")
    assert (refused.code, refused.error["code"]) == (4, "incompatible")
    assert "sd1" in refused.error["message"] and "sdxl" in refused.error["message"]
    assert refused.err == "", "nothing was hashed or written"
    assert sorted(path.name for path in tmp_path.glob("*.s*")) == ["one.safetensors", "two.safetensors"]


def test_broken_parents(run: Run, library: Library, tmp_path: Path) -> None:
    content = library.base.read_bytes()
    damage = {
        "cut": content[:-100],
        "header": content[:1000],
        "empty": b"",
        "html": b"<!DOCTYPE html><title>404</title>",
    }
    for name, left in damage.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(left)
        for pair in ((path, library.base), (library.base, path)):
            refused = run("merge", "weighted-sum", *pair, "-o", tmp_path / "o.safetensors", "--json")
            assert refused.code == 3 and name in refused.error["message"], refused
            assert refused.error["code"] in ("corrupt-file", "not-a-model") and refused.error["hint"]
    assert not (tmp_path / "o.safetensors").exists()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "text",
    [
        "[[steps",
        "x = " + "[" * 5000,
        "x = " + "9" * 5000,
        "[models]\nA = 3\n",
        '[models]\nA = "#1"\nB = "#2"\n[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "B"]\nalpha = ' + "9" * 400,
        '[models]\nA = "#1"\nB = "#2"\n[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "C"]\n',
        '[models]\nA = "#1"\nB = {ref = "#2", sha256 = "'
        + "0" * 64
        + '"}\n[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "B"]\n',
    ],
)
def test_bad_recipes(text: str, run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text(text)
    refused = run("merge", recipe, "-o", tmp_path / "o.safetensors", "--json")
    assert (refused.code, refused.error["code"]) == (2, "bad-recipe"), refused
    assert not (tmp_path / "o.safetensors").exists()


# -- stopped, and no room ----------------------------------------------------------------------------------------------


@pytest.fixture
def two_models(tmp_path: Path) -> list[Path]:
    """Two checkpoints of half a gigabyte each."""
    return [hollow(tmp_path / f"{name}.safetensors", "sd15", divisor=2) for name in "ab"]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("a.safetensors", "b.safetensors", "home"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_middle_of_a_merge(
    number: signal.Signals, spawn: Callable[..., Any], two_models: list[Path], tmp_path: Path
) -> None:
    goal = tmp_path / "o.safetensors"
    words = ["merge", "add-difference", *two_models, two_models[0], "-o", goal, "--save-recipe", tmp_path / "r.toml"]
    process = spawn(*words, "--json")
    for line in process.stderr:
        event = json.loads(line)
        if event["phase"] == "writing" and event["done"] > 20_000_000:
            break
    assert [name for name in leftovers(tmp_path) if name.endswith(".part")], "it is being written"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["error"]["code"]) == (130, "cancelled")
    assert "Traceback" not in err and leftovers(tmp_path) == []


@pytest.mark.parametrize("count", [2, 5])
def test_more_than_one_ctrl_c_in_the_middle_of_a_merge(
    count: int, spawn: Callable[..., Any], two_models: list[Path], tmp_path: Path
) -> None:
    process = spawn("merge", "add-difference", *two_models, two_models[0], "-o", tmp_path / "o.safetensors", "--json")
    for line in process.stderr:
        if json.loads(line)["phase"] == "writing":
            break
    for _ in range(count):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and leftovers(tmp_path) == []


def test_no_room_for_the_result(finish: Run, run: Run, library: Library, tmp_path: Path) -> None:
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))

    before = state(tmp_path)
    words = ["merge", "weighted-sum", library.stripes, library.pastel, "-o", tmp_path / "o.safetensors"]
    found = finish(*words, "--json", before=little)
    assert (found.code, json.loads(found.out)["error"]["code"]) == (3, "no-space"), found
    assert "Traceback" not in found.err and state(tmp_path) == before
    assert run("ls", "merged:yes", "--json").json == []


def test_a_stderr_that_nobody_reads_does_not_stop_a_merge(
    spawn: Callable[..., Any], library: Library, tmp_path: Path
) -> None:
    goal = tmp_path / "o.safetensors"
    process = spawn("merge", "weighted-sum", library.stripes, library.pastel, "-o", goal, "--hash", "--json")
    process.stderr.close()
    out = process.stdout.read()
    assert process.wait(60) == 0
    assert json.loads(out)["sha256"] == hashlib.sha256(goal.read_bytes()).hexdigest()
