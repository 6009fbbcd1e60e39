"""preview: pictures with their settings, warnings, batches, and everything that is refused before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.cli import preview_models
from modelhub.cli.context import Context
from modelhub.demo.library import Library
from modelhub.errors import NotFoundError, UsageError
from modelhub.preview.render import Renderer

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


@pytest.mark.usefixtures("library")
def test_what_is_not_expected_is_said_before_it_takes_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["preview", "tiny-shapes-base", "-p", "a (star", "--eta", "0.5", "--embedding", "sundisc.pt", *QUICK]
    found = run(*words, "-o", tmp_path / "p.png", "--json")
    assert found.code == 0, found
    unnamed, bracket, idle = found.json["notes"]
    assert "No prompt has the word 'sundisc'" in unnamed and "closes this bracket" in bracket and "eta" in idle
    assert run(*words, "-o", tmp_path / "q.png", "--json", "--dry-run").json["notes"] == [unnamed]
    monkeypatch.setattr(Renderer, "render", lambda *given: pytest.fail("it was not said"))
    monkeypatch.setattr(Context, "say", _refuse_the_last)
    refused = run(*words, "-o", tmp_path / "q.png")
    assert refused.code == 2 and "eta" in refused.err


def _refuse_the_last(_: Context, message: str) -> None:
    if "change nothing" in message:
        raise UsageError(message)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("prompt", "code", "message"),
    [("a (star:1.2.3)", 2, "no number: a (star:>>>1.2.3<<<)"), ("<lora:tiny-shapes-framed-lora:1e39>", 2, "too large")],
)
def test_a_prompt_that_cannot_be_read_is_refused_before_a_merge_is_begun(
    prompt: str, code: int, message: str, run: Run, tmp_path: Path
) -> None:
    words = ["merge", "weighted-sum", "tiny-shapes-base", "tiny-shapes-pastel", "-o", tmp_path / "m.safetensors"]
    refused = run(*words, "--preview", prompt, "--dry-run", "--json")
    assert refused.code == code and message in refused.error["message"]


def test_parts_that_are_missing_are_told_before_a_tokenizer_is(
    run: Run, demo_library: Library, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise NotFoundError("the tokenizer")

    monkeypatch.setattr(preview_models, "_tokenizer", missing)
    (unet,) = (path for path in demo_library.files if path.stem == "tiny-shapes-stripes-unet")
    words = ["merge", "weighted-sum", unet, unet, "-o", tmp_path / "m.safetensors", "--preview", "x", "--dry-run"]
    refused = run(*words, "--json")
    assert refused.code == 4 and "lacks the CLIP-L text encoder and the VAE" in refused.error["message"]


def test_a_merge_tells_what_is_wrong_with_its_picture(
    run: Run, demo_library: Library, home: Path, tmp_path: Path
) -> None:
    words = ["merge", "weighted-sum", demo_library.base, demo_library.pastel, "--alpha", "1e30"]
    made = run(*words, "-o", tmp_path / "m.safetensors", "--preview", "a (star")
    assert made.code == 0 and "closes this bracket" in made.err and "warning: " in made.err
