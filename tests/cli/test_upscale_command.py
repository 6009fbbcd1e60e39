"""upscale: pictures beside their originals, into folders, to sizes; texts kept; and everything that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modelhub.demo.library import Library

Run = Callable[..., Any]
UPSCALER = "tiny-realesrgan-x4"
RNG = np.random.default_rng(0)


def _picture(path: Path, size: tuple[int, int] = (12, 8), mode: str = "RGB", text: str = "") -> Path:
    pixels = RNG.integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    info = PngInfo()
    if text:
        info.add_text("parameters", text)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, **({"pnginfo": info} if path.suffix == ".png" else {}))
    return path


@pytest.mark.usefixtures("library")
def test_beside_the_picture_by_the_factor_of_the_upscaler(run: Run, tmp_path: Path) -> None:
    text = "a cat\nSteps: 4, Sampler: Euler, Seed: 1, Size: 12x8"
    source = _picture(tmp_path / "cat.png", text=text)
    before = source.read_bytes()
    found = run("upscale", source, "--with", UPSCALER, "--device", "cpu")
    assert found.code == 0, found
    goal = tmp_path / "cat-x4.png"
    assert found.out.splitlines() == [f"{goal}  48x32"]
    with Image.open(goal) as image:
        assert image.size == (48, 32) and image.mode == "RGB"
        done = f"Postprocess upscale by: 4, Postprocess upscaler: {UPSCALER}"
        assert image.info["parameters"] == f"{text}, {done}" and image.info["postprocessing"] == done
    assert source.read_bytes() == before
    again = run("upscale", source, "--with", UPSCALER, "--json")
    assert again.code == 3 and again.error["code"] == "file-exists"
    assert run("upscale", source, "--with", UPSCALER, "--force").code == 0


def test_both_namings_give_the_same_picture_and_the_orders_do_not(run: Run, library: Library, tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.png", (20, 20))
    found = []
    for at, words in enumerate(((UPSCALER,), ("tiny-esrgan-x4-oldarch.pth",), (UPSCALER, "--order", "rgb"))):
        assert run("upscale", source, "--with", *words, "-o", tmp_path / f"{at}.png").code == 0
        found.append(np.array(Image.open(tmp_path / f"{at}.png")))
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])
    path = next(library.folder.rglob("tiny-realesrgan-x4.pth"))
    assert run("upscale", source, "--with", path, "-o", tmp_path / "p.png").code == 0
    assert np.array_equal(np.array(Image.open(tmp_path / "p.png")), found[0])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("words", "size", "name"),
    [
        (["--scale", "2"], (24, 16), "a-x2.png"),
        (["--scale", "1.5"], (18, 12), "a-x1.5.png"),
        (["--scale", "6"], (72, 48), "a-x6.png"),
        (["--size", "30x30"], (30, 30), "a-30x30.png"),
    ],
)
def test_other_sizes(words: list[str], size: tuple[int, int], name: str, run: Run, tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.png", mode="RGBA")
    found = run("upscale", source, "--with", UPSCALER, *words, "--json")
    assert found.code == 0, found
    (image,) = found.json["images"]
    assert (image["source"], image["path"], image["width"], image["height"]) == (
        str(source),
        str(tmp_path / name),
        *size,
    )
    assert image["upscaler"] == UPSCALER and image["seconds"] >= 0
    with Image.open(tmp_path / name) as picture:
        assert picture.size == size and picture.mode == "RGBA"


@pytest.mark.usefixtures("library")
def test_tiles_leave_no_seams_and_are_reported(run: Run, tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.png", (100, 80))
    words = ["upscale", source, "--with", UPSCALER, "--json"]
    found = run(*words, "--tile", "64", "-o", tmp_path / "tiles.png")
    events = [json.loads(line) for line in found.err.splitlines()]
    last = [event for event in events if event["phase"] == "upscaling"][-1]
    assert (last["done"], last["total"], last["unit"]) == (6, 6, "tiles")
    assert run(*words, "--tile", "0", "-o", tmp_path / "whole.png").code == 0
    one, other = (np.array(Image.open(tmp_path / name)).astype(int) for name in ("tiles.png", "whole.png"))
    assert abs(one - other).max() <= 1 and (one != other).mean() < 1e-3


@pytest.mark.parametrize("name", ["lanczos", "Nearest"])
def test_without_a_file(name: str, run: Run, tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.jpg")
    assert run("upscale", source, "--with", name, "--scale", "3", "-o", tmp_path / "b.png").code == 0
    with Image.open(source) as image:
        expected = image.resize((36, 24), Image.Resampling[name.upper()])
    assert np.array_equal(np.array(Image.open(tmp_path / "b.png")), np.array(expected))
    refused = run("upscale", source, "--with", name, "--json")
    assert refused.code == 2 and "--scale 2" in refused.error["hint"]


def test_a_folder_goes_into_a_folder(run: Run, tmp_path: Path) -> None:
    folder, goal = tmp_path / "in", tmp_path / "out" / "deep"
    for name in ("a.png", "b.jpg"):
        _picture(folder / name)
    (folder / "notes.txt").write_text("none")
    found = run("upscale", folder, "--with", "nearest", "--scale", "2", "-o", goal, "--json")
    assert [Path(one["path"]).name for one in found.json["images"]] == ["a-x2.png", "b-x2.png"]
    assert sorted(path.name for path in goal.iterdir()) == ["a-x2.png", "b-x2.png"]
    assert run("upscale", folder, "--with", "nearest", "--scale", "2").code == 0
    assert run("upscale", folder, "--with", "nearest", "--scale", "2", "--force").code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["a-x2.png", "a.png", "b-x2.png", "b.jpg", "notes.txt"]


def test_one_of_several_that_fails_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    good, bad = _picture(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    words = ["upscale", bad, good, "--with", "lanczos", "--scale", "2"]
    found = run(*words, "--json")
    assert found.code == 3 and found.json["images"][0]["error"]["code"] == "corrupt-file"
    assert (tmp_path / "good-x2.png").is_file() and not (tmp_path / "bad-x2.png").exists()
    assert f"{bad}: " in run(*words, "--force").out
    assert run("upscale", bad, "--with", "lanczos", "--scale", "2", "--json").error["code"] == "corrupt-file"


@pytest.mark.usefixtures("library")
def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    source = _picture(tmp_path / "in" / "a.png")
    found = run("upscale", source, "--with", UPSCALER, "-o", tmp_path / "new", "--dry-run")
    assert found.code == 0 and found.out == f"would write {tmp_path / 'new' / 'a-x4.png'}  48x32\n"
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("ref", ["tiny-shapes-base", "tiny-shapes-framed-lora", "sundisc.pt"])
def test_what_is_no_upscaler_is_refused(ref: str, run: Run, tmp_path: Path) -> None:
    refused = run("upscale", _picture(tmp_path / "a.png"), "--with", ref, "--json")
    assert (
        refused.code == 4 and refused.error["code"] == "incompatible" and "not an upscaler" in refused.error["message"]
    )
    assert refused.error["hint"] and not (tmp_path / "a-x4.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scale", "0"], "above 0"),
        (["--scale", "nan"], "above 0"),
        (["--scale", "65"], "64 at most"),
        (["--size", "0x5"], "not a size"),
        (["--size", "5x5", "--scale", "2"], "not allowed with"),
        (["--scale", "2", "--tile", "10"], "cannot overlap"),
        (["--scale", "2", "--tile", "-5"], "cannot overlap"),
        (["--scale", "2", "--tile", "64", "--overlap", "30"], "64 pixels cannot overlap by 30"),
        (["--scale", "2", "-o", "out.jpg"], "out.jpg is not a name for a PNG file"),
        (["--size", "99999x99999"], "larger than modelhub makes"),
    ],
)
def test_words_that_cannot_be(words: list[str], said: str, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("upscale", _picture(tmp_path / "a.png"), "--with", "lanczos", *words, "--json")
    assert refused.code == 2 and said in refused.error["message"], refused


def test_where_nothing_can_go(run: Run, tmp_path: Path) -> None:
    one, other = _picture(tmp_path / "a.png"), _picture(tmp_path / "a.jpg")
    words = ["--with", "lanczos", "--scale", "2", "--json"]
    assert "both go to" in run("upscale", one, other, *words).error["message"]
    assert "one file, for several" in run("upscale", one, other, "-o", tmp_path / "b.png", *words).error["message"]
    (tmp_path / "empty").mkdir()
    assert "no picture in" in run("upscale", tmp_path / "empty", *words).error["message"]
    assert run("upscale", tmp_path / "none.png", *words).error["code"] == "vanished"
    assert run("upscale", one, "-o", one / "deeper", *words).code == 3
    assert run("upscale", one, "--with", "no-such-upscaler", "--json").error["code"] == "not-found"
