"""grid: sheets over settings, recipes, LoRAs and models; each cell as `preview` renders it; and all that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.demo.library import Library
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.views import Combined
from modelhub.formats.writer import write
from modelhub.preview.pictures.infotext import parse_infotext

Run = Callable[..., Any]
PROMPT = "a red circle on a blue background"
QUICK = ["-p", PROMPT, "--steps", "2", "--size", "64x64"]
pytestmark = pytest.mark.usefixtures("library")

_MIX = """
[models]
A = "tiny-shapes-base"
B = "tiny-shapes-pastel"
[[steps]]
method = "weighted-sum"
inputs = ["A", "B"]
alpha = 0.5
"""


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    path = tmp_path / "mix.toml"
    path.write_text(_MIX, encoding="utf-8")
    return path


def pixels(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.array(picture)


def text(path: Path) -> str:
    with Image.open(path) as picture:
        return str(picture.info["parameters"])


def test_a_recipe_over_alpha_and_seeds(run: Run, mix: Path, tmp_path: Path) -> None:
    words = ["grid", mix, "--x", "alpha=0-1[3]", "--y", "seed=4,5", *QUICK, "-o", tmp_path / "g.png"]
    found = run(*words, "--cells", tmp_path / "cells", "--json")
    assert found.code == 0, found
    told = found.json
    assert (told["path"], told["axes"]["x"]["name"], told["axes"]["x"]["values"]) == (
        str(tmp_path / "g.png"),
        "alpha",
        ["0", "0.5", "1"],
    )
    assert told["axes"]["y"]["labels"] == ["seed 4", "seed 5"] and "z" not in told["axes"]
    assert [(one["x"], one["y"], one["z"]) for one in told["images"]] == [(x, y, 0) for y in (0, 1) for x in (0, 1, 2)]
    assert [one["seed"] for one in told["images"]] == [4, 4, 4, 5, 5, 5]
    assert set(told["images"][0]) >= {"infotext", "mean", "std", "warnings", "labels"}
    assert "report" not in told and told["seconds"] > 0
    sheet = pixels(tmp_path / "g.png")
    assert sheet.shape[0] > 2 * 192 and sheet.shape[1] > 3 * 192
    assert len(list((tmp_path / "cells").iterdir())) == 6
    for place, alpha, seed in (("x2-y1", "0.5", "4"), ("x3-y2", "1", "5")):
        other = tmp_path / f"{place}.toml"
        other.write_text(_MIX.replace("alpha = 0.5", f"alpha = {float(alpha)}"), encoding="utf-8")
        assert run("preview", other, *QUICK, "--seed", seed, "-o", tmp_path / f"{place}.png").code == 0
        cell = tmp_path / "cells" / f"g-{place}.png"
        assert np.array_equal(pixels(cell), pixels(tmp_path / f"{place}.png"))
        assert f"alpha = {float(alpha)}" in text(cell)
    settings = parse_infotext(text(tmp_path / "g.png")).settings
    assert (settings["Script"], settings["X Type"], settings["X Values"]) == ("X/Y/Z plot", "alpha", "0,0.5,1")
    assert (settings["Y Type"], settings["Y Values"]) == ("Seed", "4,5")
    events = [json.loads(line) for line in found.err.splitlines()]
    assert {"1/6 sampling", "6/6 sampling", "pictures"} <= {event["phase"] for event in events}
    assert [event["done"] for event in events if event["phase"] == "pictures"][-1] == 6


def test_parents_beside_a_merge_with_a_report(run: Run, mix: Path, tmp_path: Path) -> None:
    words = ["grid", mix, "--y", "seed=1,2", "--parents", *QUICK, "-o", tmp_path / "g.png"]
    told = run(*words, "--json").json
    assert told["axes"]["x"]["labels"] == ["mix", "A: tiny-shapes-base", "B: tiny-shapes-pastel"]
    assert told["axes"]["x"]["values"] == told["axes"]["x"]["labels"] and str(tmp_path) not in text(tmp_path / "g.png")
    (report,) = told["report"]
    assert (report["merge"], report["parents"]) == ("mix", told["axes"]["x"]["labels"][1:])
    assert [one["seed"] for one in report["seeds"]] == [1, 2]
    found = run(*words, "--report", "--force")
    assert found.code == 0 and all(f"  {one}" in found.out for one in report["sentences"])
    assert any(one.endswith("than B: tiny-shapes-pastel.") for one in report["sentences"])


def test_the_models_of_a_recipe_are_axes_by_their_letters(run: Run, mix: Path, tmp_path: Path) -> None:
    number = run("ls", "name:tiny-shapes-stripes-unet", "--json").json[0]["id"]
    pastel = Path(run("show", "tiny-shapes-pastel", "--json").json["path"])
    axes = ["--x", f"b={pastel},#{number}", "--y", "alpha=0.25,1"]
    told = run("grid", mix, *axes, *QUICK, "-o", tmp_path / "g.png", "--cells", tmp_path / "c", "--json").json
    assert told["axes"]["x"]["labels"] == ["B: tiny-shapes-pastel", "B: tiny-shapes-stripes-unet"]
    for x, name in enumerate(("tiny-shapes-pastel", "tiny-shapes-stripes-unet"), 1):
        other = tmp_path / f"{name}.toml"
        other.write_text(_MIX.replace("tiny-shapes-pastel", name).replace("0.5", "0.25"), encoding="utf-8")
        assert run("preview", other, *QUICK, "-o", tmp_path / f"{name}.png").code == 0
        assert np.array_equal(pixels(tmp_path / "c" / f"g-x{x}-y1.png"), pixels(tmp_path / f"{name}.png"))
    assert not np.array_equal(pixels(tmp_path / "c" / "g-x1-y2.png"), pixels(tmp_path / "c" / "g-x2-y2.png"))
    assert str(tmp_path) not in text(tmp_path / "g.png"), "the paths of a machine are nobody's business"
    plan = run("grid", mix, *axes, *QUICK, "-o", tmp_path / "p.png", "--dry-run")
    assert plan.code == 0 and "mix (B: tiny-shapes-pastel, alpha 0.25): 1 picture" in plan.out
    refused = run("grid", mix, *axes, "--parents", *QUICK, "-o", tmp_path / "p.png")
    assert refused.code == 2 and "the axis B" in refused.err and "--parents" in refused.err
    missing = run("grid", mix, "--x", "B=nobody", *QUICK, "-o", tmp_path / "p.png")
    assert missing.code == 2 and "nobody" in missing.err and not (tmp_path / "p.png").exists()


def test_a_denoiser_is_a_parent_in_the_shell_of_the_first(run: Run, mix: Path, tmp_path: Path) -> None:
    mix.write_text(_MIX.replace("tiny-shapes-pastel", "tiny-shapes-stripes-unet"), encoding="utf-8")
    words = ["grid", mix, "--parents", *QUICK, "-o", tmp_path / "g.png", "--json"]
    images = run(*words).json["images"]
    assert "Model: tiny-shapes-stripes-unet in tiny-shapes-base" in images[2]["infotext"]


def test_a_lora_of_growing_strength(run: Run, tmp_path: Path) -> None:
    words = ["grid", "tiny-shapes-base", "--x", "lora:tiny-shapes-framed-lora=0,1", *QUICK, "-o", tmp_path / "g.png"]
    told = run(*words, "--cells", tmp_path / "c", "--json").json
    assert "<lora:tiny-shapes-framed-lora:1>" in told["images"][1]["infotext"]
    prompt = f"{PROMPT} <lora:tiny-shapes-framed-lora:1>"
    alone = ["preview", "tiny-shapes-base", *QUICK, "-p", prompt, "-o", tmp_path / "alone.png"]
    assert run(*alone).code == 0
    assert np.array_equal(pixels(tmp_path / "c" / "g-x2.png"), pixels(tmp_path / "alone.png"))
    assert not np.array_equal(pixels(tmp_path / "c" / "g-x1.png"), pixels(tmp_path / "alone.png"))


def test_several_models_are_an_axis(run: Run, mix: Path, tmp_path: Path) -> None:
    words = ["grid", "tiny-shapes-base", mix, "--x", "prompt=red,green", *QUICK, "-o", tmp_path / "g.png", "--json"]
    told = run(*words).json
    assert told["axes"]["y"] == {
        "name": "model",
        "values": ["tiny-shapes-base", "mix"],
        "labels": ["tiny-shapes-base", "mix"],
    }
    assert [one["labels"]["x"] for one in told["images"]] == ["red", "green"] * 2
    assert told["images"][1]["infotext"].startswith("a green circle")


def test_recipes_on_an_axis_have_their_parameters_and_models_beside_them_none(
    run: Run, mix: Path, tmp_path: Path
) -> None:
    axes = ["--x", f"Checkpoint name={mix},tiny-shapes-base,tiny-shapes-pastel", "--y", "alpha=0,1"]
    words = ["grid", "tiny-shapes-stripes", *axes, *QUICK, "-o", tmp_path / "g.png"]
    told = run(*words, "--cells", tmp_path / "c", "--report", "--json").json
    assert (told["axes"]["x"]["name"], told["axes"]["y"]["name"], len(told["images"])) == ("model", "alpha", 6)
    found = {(x, y): pixels(tmp_path / "c" / f"g-x{x}-y{y}.png") for x in (1, 2, 3) for y in (1, 2)}
    assert np.array_equal(found[1, 1], found[2, 1]) and np.array_equal(found[1, 2], found[3, 1])
    assert np.array_equal(found[2, 1], found[2, 2]) and not np.array_equal(found[1, 1], found[1, 2])
    assert [one["merge"] for one in told["report"]] == ["mix", "mix"]
    assert "The same as tiny-shapes-base on seed 1." in told["report"][0]["sentences"]


def test_pages_settings_and_a_batch(run: Run, tmp_path: Path) -> None:
    axes = ["--x", 'sampler=Euler,"DPM++ 2M"', "--z", "cfg=2,7", "--batch", "2"]
    told = run("grid", "#1", *axes, *QUICK, "-o", tmp_path / "g.png", "--json").json
    assert [told["axes"][letter]["name"] for letter in "xyz"] == ["sampler", "seed", "cfg"]
    assert len(told["images"]) == 8
    assert "Sampler: DPM++ 2M" in told["images"][1]["infotext"] and "CFG scale: 2" in told["images"][1]["infotext"]


def test_a_dry_run_tells_what_is_read(run: Run, mix: Path, tmp_path: Path) -> None:
    mix.write_text(f'{_MIX}only = ["unet"]', encoding="utf-8")
    words = ["grid", mix, "--x", "alpha=0,1", "--y", "seed=1-3", *QUICK, "-o", tmp_path / "g.png", "--dry-run"]
    told = run(*words, "--json").json
    assert (told["pictures"], told["images"], [one["pictures"] for one in told["models"]]) == (6, [], [3, 3])
    assert set(told["models"][0]["reads"]) == {"denoiser", "clip-l", "vae"}
    assert set(told["models"][1]["reads"]) == {"denoiser"}
    found = run(*words)
    assert "6 pictures (2 columns x 3 rows) of 2 models" in found.out and "reads denoiser" in found.out
    assert not (tmp_path / "g.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--x", "alhpa=1"], "There are: seed"),
        (["--x", "seed"], "NAME=VALUES"),
        (["--x", "seed=1.5"], "whole numbers"),
        (["--x", "alpha="], "empty value"),
        (["--x", "seed=1-1000", "--y", "steps=1-100"], "2,000 are the most"),
        (["--x", "prompt=purple"], "does not have 'purple'"),
        (["--x", "sampler=Euler,Eulerr"], "no sampler 'Eulerr'"),
        (["--x", "IN99=1"], "no axis 'IN99'"),
        (["--x", "size=1x1"], "multiple of 8"),
        (["--x", "vae=nope"], "'nope'"),
        (["--x", "lora:nope=1"], "'nope'"),
        (["--x", "steps=1", "--y", "steps=2"], "Two axes are called steps"),
        (["--x", "steps=1", "--x", "seed=2"], "There are 2 axes --x"),
        (["--x", "model=tiny-shapes-base", "--parents"], "Parents are put beside one model"),
        (["--x", "model=tiny-shapes-base", "--report"], "none to compare it with"),
        (["--x", "cfg=1,-1"], "-1"),
        (["--x", "seed=1-1000", "--size", "2048x2048"], "too large"),
        (["--x", "seed=1,2", "--batch", "2"], "--batch"),
        (["--x", "model=tiny-shapes-base,nope"], "'nope'"),
        (["--x", "denoise=0.3,0.6"], "--hires 2"),
        (["--x", "upscaler=Latent,Lanczos"], "--hires 2"),
        (["--x", "Hires steps=1,2"], "--hires 2"),
        (["--x", "switch-at=0.3,0.6"], "--refiner"),
        (["--x", "refiner=none,nope", "--switch-at", "0.5"], "'nope'"),
        (["--x", "hires=1,nope", "--upscaler", "Lanczos", "--denoise", "0.3"], "'nope'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_rendered(
    words: list[str], says: str, run: Run, mix: Path, tmp_path: Path
) -> None:
    found = run("grid", mix, *QUICK, *words, "-o", tmp_path / "g.png")
    assert found.code == 2 and says in found.err, found
    assert "sampling" not in found.err and not (tmp_path / "g.png").exists()


@pytest.mark.parametrize("axis", ["alpha=0,1", "IN04=0,1", "IN04-IN08=0,1"])
def test_numbers_of_a_merge_need_a_recipe_file(axis: str, run: Run, tmp_path: Path) -> None:
    found = run("grid", "tiny-shapes-base", *QUICK, "--x", axis, "-o", tmp_path / "g.png")
    assert found.code == 2 and "of a recipe file, which SOURCE must be" in " ".join(found.err.split()), found


def test_a_report_that_cannot_be_is_refused_before_anything_is_rendered(
    run: Run, library: Library, tmp_path: Path
) -> None:
    with SafetensorsFile(library.base) as base:
        write(Combined([base], {}), tmp_path / "bare.safetensors")  # which has no size of its own in it
    words = ["grid", "tiny-shapes-base", tmp_path / "bare.safetensors", "-p", PROMPT, "--steps", "2", "--report"]
    found = run(*words, "-o", tmp_path / "g.png", "--dry-run")
    assert found.code == 2 and "have different sizes" in found.err and "--size" in found.err
    assert run(*words, "-o", tmp_path / "g.png", "--dry-run", "--size", "64x64").code == 0
    assert run(*words[:-1], "-o", tmp_path / "g.png", "--dry-run").code == 0


def test_models_and_upscalers_by_number_are_called_by_their_names(run: Run, tmp_path: Path) -> None:
    words = ["grid", "#1", "#2", "--x", "upscaler=latent,#9", "--hires", "1.5", *QUICK, "-o", tmp_path / "g.png"]
    told = run(*words, "--dry-run", "--json").json
    assert told["axes"]["x"]["labels"] == ["Latent", "tiny-realesrgan-x4"]
    assert told["axes"]["y"]["labels"] == [one["name"] for one in told["models"][::2]]


def test_goals_are_looked_at_first(run: Run, tmp_path: Path) -> None:
    goal = tmp_path / "g.png"
    goal.write_bytes(b"mine")
    words = ["grid", "tiny-shapes-base", "--x", "seed=1", *QUICK]
    assert run(*words, "-o", goal).code == 3 and goal.read_bytes() == b"mine"
    assert run(*words, "-o", tmp_path / "g.jpg").code == 2
    assert run(*words, "-o", tmp_path / "h.png", "--cells", goal).code == 2
    cells = tmp_path / "cells"
    cells.mkdir()
    (cells / "h-x1.png").write_bytes(b"mine")
    refused = run(*words, "-o", tmp_path / "h.png", "--cells", cells)
    assert refused.code == 3 and "h-x1.png exists already" in refused.err
    assert run(*words, "-o", goal, "--force").code == 0
    assert run("grid", "tiny-shapes-base", "-o", tmp_path / "i.png").code == 2


def test_parents_of_what_has_none(run: Run, tmp_path: Path) -> None:
    refused = run("grid", "tiny-shapes-base", "--parents", *QUICK, "-o", tmp_path / "g.png")
    assert refused.code == 2 and "recipe" in refused.err


def test_parents_of_a_merged_file(run: Run, library: Library, tmp_path: Path) -> None:
    merged = tmp_path / "merged.safetensors"
    assert run("merge", "weighted-sum", "tiny-shapes-base", "tiny-shapes-pastel", "-o", merged).code == 0
    words = ["grid", merged, "--report", *QUICK, "-o", tmp_path / "g.png", "--json"]
    told = run(*words).json
    assert told["axes"]["x"]["labels"] == ["merged", "A: tiny-shapes-base", "B: tiny-shapes-pastel"]
    assert told["report"][0]["merge"] == "merged"


def test_stopping_leaves_nothing_half_written(
    run: Run, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelhub.preview.render import Renderer

    render, seen = Renderer.render, []

    def stopped(renderer: Renderer, request: Any, job: Any) -> Any:
        seen.append(request)
        if len(seen) == 2:
            job.cancel()
        return render(renderer, request, job)

    monkeypatch.setattr(Renderer, "render", stopped)
    words = ["grid", mix, "--x", "alpha=0,1", "--y", "seed=1,2", *QUICK]
    found = run(*words, "-o", tmp_path / "g.png", "--cells", tmp_path / "cells")
    assert found.code == 130 and not (tmp_path / "g.png").exists()
    (whole,) = (tmp_path / "cells").iterdir()
    assert pixels(whole).shape == (64, 64, 3)
