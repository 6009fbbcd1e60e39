"""preview: pictures with their settings, warnings, batches, and everything that is refused before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.demo.library import Library

Run = Callable[..., Any]
QUICK = ["--steps", "2", "--size", "64x64"]


@pytest.mark.usefixtures("library")
def test_a_picture_and_its_infotext(run: Run, tmp_path: Path) -> None:
    goal = tmp_path / "p.png"
    prompt = 'a "red" circle,\n<b>漢字</b>'
    words = [
        "preview",
        "tiny-shapes-base",
        "-p",
        prompt,
        "-n",
        "-blurry",
        "--sampler",
        "euler a",
        "--seed",
        "5",
        *QUICK,
    ]
    found = run(*words, "-o", goal, "--json")
    assert found.code == 0, found
    assert set(found.json) >= {"images", "seconds"}
    (image,) = found.json["images"]
    assert set(image) >= {"path", "seed", "infotext", "mean", "std", "warnings"}
    assert (image["path"], image["seed"], image["warnings"]) == (str(goal), 5, [])
    with Image.open(goal) as picture:
        assert picture.size == (64, 64) and picture.info["parameters"] == image["infotext"]
        pixels = np.array(picture)
    assert image["mean"] == pytest.approx(pixels.mean()) and image["std"] == pytest.approx(pixels.std())
    for part in (
        prompt,
        "Negative prompt: -blurry",
        "Steps: 2",
        "Sampler: Euler a",
        "Seed: 5",
        "Size: 64x64",
        "Model: tiny-shapes-base",
    ):
        assert part in image["infotext"]
    assert all(seconds >= 0 for seconds in found.json["seconds"].values())
    events = [json.loads(line) for line in found.err.splitlines()]
    assert {"sampling", "decoding"} <= {event["phase"] for event in events}
    assert [e["done"] for e in events if e["phase"] == "sampling"][-1] == 2


@pytest.mark.usefixtures("library")
def test_a_batch(run: Run, tmp_path: Path) -> None:
    words = ["preview", "#1", "-p", "a star", *QUICK]
    found = run(*words, "--batch", "2", "--seed", "3", "-o", tmp_path / "b.png", "--json").json["images"]
    assert [(Path(one["path"]).name, one["seed"]) for one in found] == [("b-1.png", 3), ("b-2.png", 4)]
    assert run(*words, "--seed", "4", "-o", tmp_path / "four.png").code == 0
    one, two = (np.array(Image.open(tmp_path / name)).astype(int) for name in ("b-2.png", "four.png"))
    assert abs(one - two).max() <= 2, "a picture does not depend on its batch, but for rounding"
    before = (tmp_path / "b-2.png").read_bytes()
    (tmp_path / "b-1.png").unlink()
    refused = run(*words, "--batch", "2", "-o", tmp_path / "b.png")
    assert refused.code == 3 and "b-2.png exists already" in refused.err and not (tmp_path / "b-1.png").exists()
    assert (tmp_path / "b-2.png").read_bytes() == before
    told = run(*words, "--batch", "2", "-o", tmp_path / "b.png", "--force")
    assert told.code == 0 and told.out.splitlines()[0] == f"{tmp_path / 'b-1.png'}  seed 1"


def test_a_dry_run_renders_nothing(run: Run, library: Library, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*.png"))
    found = run("preview", library.base, "-p", "x", "-o", tmp_path / "p.png", "--dry-run")
    assert found.code == 0 and "would render 1 picture of tiny-shapes-base" in found.out
    assert run("preview", library.base, "-p", "x", "-o", tmp_path / "p.png", "--dry-run", "--json").json["images"] == []
    assert sorted(tmp_path.rglob("*.png")) == before


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "ref", ["tiny-shapes-framed-lora", "sundisc.safetensors", "sundisc.pt", "tiny-realesrgan-x4.pth"]
)
def test_what_is_no_checkpoint_is_refused(ref: str, run: Run, tmp_path: Path) -> None:
    refused = run("preview", ref, "-p", "x", "-o", tmp_path / "p.png", *QUICK, "--json")
    assert refused.code in (3, 4) and refused.error["hint"] and not (tmp_path / "p.png").exists()


@pytest.mark.usefixtures("library")
def test_another_vae(run: Run, tmp_path: Path) -> None:
    words = ["preview", "tiny-shapes-stripes", "-p", "a star", *QUICK]
    found = run(*words, "--vae", "tiny-shapes-base", "-o", tmp_path / "v.png", "--json").json["images"][0]
    assert "VAE: tiny-shapes-base" in found["infotext"] and "VAE hash: " in found["infotext"]
    assert run(*words, "--vae", "tiny-shapes-framed-lora", "-o", tmp_path / "w.png").code == 4
