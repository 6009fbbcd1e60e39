"""preview: every option ends up in the picture and its infotext; what it says of samplers is what there is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modelhub.catalog.store import Catalog
from modelhub.cli.preview_options import add_hires, add_sampling, asked
from modelhub.demo.library import Library
from modelhub.errors import UsageError
from modelhub.formats.images import save_png
from modelhub.preview.pictures.infotext import parse_infotext
from modelhub.preview.request import Hires, Request, Variation
from modelhub.preview.sampling.tuning import Tuning

Run = Callable[..., Any]
QUICK = ["--steps", "2", "--size", "64x64"]


def request(*words: str, base: Request | None = None) -> Request:
    """What these options make of a request."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--prompt")
    parser.add_argument("--negative")
    add_sampling(parser)
    add_hires(parser)
    return asked(parser.parse_args(words), base or Request("a cat"))


def test_what_is_not_said_stays_as_it_was() -> None:
    base = Request(
        "a cat", "bad", "Euler a", "Karras", 7, 3.0, 5, 128, 64, 2, 2, "No norm", 4.0, "CPU", 3, Variation(1, 0.5),
        (64, 64), Tuning(eta=0.5), Hires(1.5), 0.5,
    )  # fmt: skip
    assert request(base=base) == base


@pytest.mark.parametrize(
    ("words", "sampler", "schedule"),
    [
        (["--sampler", "dpm++ 2m sde karras"], "DPM++ 2M SDE", "Karras"),
        (["--sampler", "DPM++ 2M Karras", "--schedule", "sgm_uniform"], "DPM++ 2M", "SGM Uniform"),
        (["--sampler", "euler_ancestral"], "Euler a", "Automatic"),
        (["--schedule", "ddim_uniform"], "Euler", "DDIM"),
        (["--sampler", "euler ddim_uniform"], "Euler", "DDIM"),
    ],
)
def test_samplers_and_schedules_in_the_words_of_others(words: list[str], sampler: str, schedule: str) -> None:
    base = Request("a cat", sampler="Euler", schedule="Automatic")
    found = request(*words, base=base)
    assert (found.sampler, found.schedule) == (sampler, schedule)
    second = request("--hires", "2", *(word.replace("--", "--hires-") for word in words), base=base).hires
    given = (sampler if "--sampler" in words else None, None if schedule == "Automatic" else schedule)
    assert second is not None and (second.sampler, second.schedule) == given
    taken_back = request(
        "--hires-sampler", "", "--hires-schedule", "", base=replace(base, hires=Hires(sampler="UniPC"))
    ).hires
    assert taken_back is not None and not taken_back.sampler and not taken_back.schedule


def test_every_option_is_heeded() -> None:
    words = (
        "--prompt", "a dog", "--negative", "blurry", "--sampler", "UniPC", "--schedule", "Beta", "--steps", "9",
        "--cfg", "2", "--guidance", "4", "--seed", "6", "--size", "128x64", "--batch", "3", "--clip-skip", "2",
        "--emphasis", "no norm", "--rng", "cpu", "--ensd", "31337", "--variation", "7:0.25", "--resize-from", "64x128",
        "--eta", "0.5", "--churn", "3", "--tune", "rho=5", "--tune", "discard=yes", "--tune", "order=2",
        "--tune", "variant=bh2", "--refiner", "r", "--switch-at", "0.6", "--hires", "1.5", "--upscaler", "latent (NEAREST)",
        "--denoise", "0.4", "--hires-steps", "5", "--hires-sampler", "Euler", "--hires-schedule", "Karras",
        "--hires-cfg", "3", "--hires-prompt", "more", "--hires-negative", "less",
    )  # fmt: skip
    hires = Hires(1.5, None, None, "Latent (nearest)", 5, 0.4, "Euler", "Karras", 3.0, "more", "less")
    tuning = Tuning(eta=0.5, churn=3.0, rho=5.0, discard=True, order=2, variant="bh2")
    assert request(*words) == Request(
        "a dog", "blurry", "UniPC", "Beta", 9, 2.0, 6, 128, 64, 3, 2, "No norm", 4.0, "CPU", 31337, Variation(7, 0.25),
        (64, 128), tuning, hires, 0.6,
    )  # fmt: skip
    assert request("--hires", "1024x768").hires == Hires(width=1024, height=768)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tune", "speed=1"], "nothing called 'speed'"),
        (["--tune", "rho"], "What rho is to be is missing"),
        (["--tune", "rho=high"], "rho=high is not possible"),
        (["--tune", "discard=perhaps"], "discard=perhaps is not possible"),
        (["--tune", "order=2.5"], "order=2.5 is not possible"),
        (["--upscaler", "Latent"], "no second pass"),
        (["--hires-steps", "3"], "no second pass"),
        (["--denoise", "0.5"], "no second pass, and no picture"),
        (["--mask", "m.png"], "a picture to start from"),
        (["--mask-blur", "2"], "no mask"),
        (["--image-cfg", "2"], "a picture to start from"),
        (["--switch-at", "0.5"], "no refiner"),
        (["--emphasis", "loud"], "no emphasis"),
        (["--rng", "dice"], "no source of noise"),
        (["--hires", "0.2"], "number of times to enlarge"),
        (["--eta", "-1"], "eta"),
        (["--variation", "7:1.5"], "strength of a variation"),
    ],
)
def test_options_that_lead_nowhere(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        request(*words)
    assert caught.value.hint


@pytest.mark.usefixtures("library")
def test_a_denoiser_alone_takes_the_rest_from_the_library(run: Run, tmp_path: Path) -> None:
    words = ["preview", "tiny-shapes-stripes-unet", "-p", "a red circle on a blue background", *QUICK]
    found = run(*words, "-o", tmp_path / "p.png", "--json")
    assert found.code == 0, found
    assert "The VAE is taken from tiny-shapes-base.safetensors." in found.json["notes"]
    assert "The CLIP-L text encoder is taken from tiny-shapes-base.safetensors." in found.json["notes"]
    settings = parse_infotext(found.json["images"][0]["infotext"]).settings
    assert settings["VAE"] == "tiny-shapes-base.safetensors" and settings["Module 1"] == "tiny-shapes-base"
    told = run(*words, "-o", tmp_path / "q.png")
    assert told.code == 0 and "note: The VAE is taken from" in told.err
    said = run(
        *words, "--vae", "tiny-shapes-base", "--text-encoder", "tiny-shapes-base", "-o", tmp_path / "r.png", "--json"
    )
    assert said.code == 0 and said.json["notes"] == []
    assert (tmp_path / "p.png").read_bytes() == (tmp_path / "q.png").read_bytes() == (tmp_path / "r.png").read_bytes()


@pytest.mark.usefixtures("library")
def test_a_text_encoder_of_another_kind_is_refused(run: Run, tmp_path: Path) -> None:
    words = ["preview", "tiny-shapes-base", "-p", "x", *QUICK, "-o", tmp_path / "p.png", "--json"]
    refused = run(*words, "--text-encoder", "tiny-shapes-framed-lora")
    assert refused.code == 4 and "no text encoder of sd1" in refused.error["message"]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hires", "2", "--upscaler", "tiny-shapes-framed-lora"], "is a lora, not an upscaler"),
        (["--t5", "tiny-shapes-base"], "without a T5"),
        (["--refiner", "tiny-shapes-framed-lora"], "not a checkpoint"),
    ],
)
def test_a_dry_run_refuses_what_cannot_be_rendered(words: list[str], message: str, run: Run, tmp_path: Path) -> None:
    asked = ["preview", "tiny-shapes-base", "-p", "x", *QUICK, "-o", tmp_path / "p.png", "--json", "--dry-run"]
    assert run(*asked).code == 0
    refused = run(*asked, *words)
    assert refused.code == 4 and message in refused.error["message"]


@pytest.mark.usefixtures("library")
def test_what_suits_the_model_where_nothing_is_said(run: Run, tmp_path: Path) -> None:
    found = run("preview", "tiny-shapes-base", "-p", "a star", "--size", "64x64", "-o", tmp_path / "p.png", "--json")
    settings = parse_infotext(found.json["images"][0]["infotext"]).settings
    expected = {"Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7", "RNG": "NV"}
    assert expected.items() <= settings.items()


@pytest.mark.usefixtures("library")
def test_like_another_picture(run: Run, tmp_path: Path) -> None:
    """The same options make the same picture, and an option that is given wins."""
    one, two, three = (tmp_path / f"{name}.png" for name in ("one", "two", "three"))
    words = ["-p", "a (red:1.3) star", "-n", "ring", "--sampler", "euler a", "--seed", "9", "--cfg", "3", "--ensd", "5"]
    made = run(
        "preview", "tiny-shapes-base", *words, *QUICK, "--hires", "1.5", "--hires-steps", "2", "-o", one, "--json"
    )
    assert made.code == 0, made
    assert run("preview", "tiny-shapes-base", "--like", one, "-o", two).code == 0
    with Image.open(one) as first, Image.open(two) as second:
        assert first.size == (96, 96)
        assert np.array_equal(np.array(first), np.array(second))
        assert first.info["parameters"] == second.info["parameters"]
    found = run("preview", "tiny-shapes-base", "--like", one, "--seed", "10", "-p", "a ring", "-o", three, "--json")
    infotext = parse_infotext(found.json["images"][0]["infotext"])
    assert (infotext.prompt, infotext.settings["Seed"], infotext.settings["Sampler"]) == ("a ring", "10", "Euler a")
    empty = tmp_path / "empty.png"
    Image.new("RGB", (64, 64)).save(empty)
    refused = run("preview", "tiny-shapes-base", "--like", empty, "-o", tmp_path / "four.png", "--json")
    assert refused.code == 2 and "does not say how it was made" in refused.error["message"]


@pytest.mark.usefixtures("library")
def test_like_a_picture_whose_prompt_does_not_name_its_loras(run: Run, tmp_path: Path) -> None:
    """Those of a list are taken from the catalog, as --lora takes them; those that are not here are told."""
    told = {
        "app_version": "5.4.0", "positive_prompt": "a red circle", "seed": 5, "steps": 2, "cfg_scale": 3,
        "scheduler": "euler_a", "width": 64, "height": 64, "loras": [
            {"model": {"name": "tiny-shapes-framed-lora"}, "weight": 0.75},
            {"model": {"name": "lost", "hash": "blake3:" + "ab" * 32}, "weight": 1.0},
            {"model": {"name": "tiny-shapes-framed-lora"}},
        ],
    }  # fmt: skip
    listed, one, two = (tmp_path / f"{name}.png" for name in ("listed", "one", "two"))
    info = PngInfo()
    info.add_text("invokeai_metadata", json.dumps(told))
    Image.new("RGB", (64, 64)).save(listed, pnginfo=info)
    found = run("preview", "tiny-shapes-base", "--like", listed, "-o", one, "--json").json
    said = " ".join(found["notes"])
    assert "tiny-shapes-framed-lora is taken from the catalog" in said
    assert f"lost is not here, and left out; modelhub get {'ab' * 32}" in said and "is not told" in said
    words = ["-p", "a red circle", "--lora", "tiny-shapes-framed-lora:0.75", "--sampler", "euler a", "--seed", "5"]
    more = ["--steps", "2", "--cfg", "3", "--size", "64x64", "--schedule", "Uniform", "--rng", "CPU"]
    plain = run("preview", "tiny-shapes-base", *words, *more, "-o", two, "--json").json
    prompts = [parse_infotext(each["images"][0]["infotext"]).prompt for each in (found, plain)]
    assert prompts == ["a red circle <lora:tiny-shapes-framed-lora:0.75>"] * 2
    grid = run("grid", "tiny-shapes-base", "--like", listed, "--x", "seed=1,2", "-o", tmp_path / "g.png", "--json")
    assert grid.code == 0 and said in " ".join(grid.json["notes"])


@pytest.mark.usefixtures("library")
def test_like_a_picture_that_calls_its_lora_otherwise(run: Run, home: Path, tmp_path: Path) -> None:
    with Catalog.open(home) as catalog:
        (lora,) = catalog.named("tiny-shapes-framed-lora")
    digits = (lora.hashes["autov3"] or "")[:12]
    renamed = tmp_path / "renamed.png"
    settings = f'Steps: 2, Sampler: Euler, CFG scale: 3, Seed: 1, Size: 64x64, Lora hashes: "frames: {digits}"'
    save_png(renamed, np.zeros((64, 64, 3), np.uint8), f"a star <lora:frames:0.5>\n{settings}")
    found = run("preview", "tiny-shapes-base", "--like", renamed, "-o", tmp_path / "a.png", "--json")
    assert found.code == 0, found
    assert parse_infotext(found.json["images"][0]["infotext"]).prompt == "a star <lora:tiny-shapes-framed-lora:0.5>"


@pytest.mark.usefixtures("library")
def test_a_second_pass_with_an_upscaler_of_the_library(run: Run, tmp_path: Path) -> None:
    words = ["preview", "tiny-shapes-base", "-p", "a star", *QUICK, "--hires", "2", "--denoise", "0.5"]
    found = run(*words, "--upscaler", "tiny-realesrgan-x4", "--hires-steps", "2", "-o", tmp_path / "p.png", "--json")
    assert found.code == 0, found
    settings = parse_infotext(found.json["images"][0]["infotext"]).settings
    assert settings["Hires upscaler"] == "tiny-realesrgan-x4"
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (128, 128)
    assert {"encoding", "sampling", "enlarging", "decoding"} <= set(found.json["seconds"])
    refused = run(*words, "--upscaler", "tiny-shapes-base", "-o", tmp_path / "q.png", "--json")
    assert refused.code == 4 and "not an upscaler" in refused.error["message"]


@pytest.mark.usefixtures("library")
def test_a_picture_to_start_from_and_a_mask(run: Run, tmp_path: Path) -> None:
    start = np.full((64, 64, 3), (40, 90, 200), np.uint8)
    Image.fromarray(start).save(tmp_path / "start.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    see_through = np.dstack([start, mask])
    Image.fromarray(see_through).save(tmp_path / "see-through.png")
    words = ["preview", "tiny-shapes-base", "-p", "a star", "--steps", "3", "--init", tmp_path / "start.png"]
    found = {}
    for name in ("mask", "see-through"):
        goal = tmp_path / f"out-{name}.png"
        made = run(*words, "--mask", tmp_path / f"{name}.png", "--mask-blur", "0", "--denoise", "0.9", "-o", goal)
        assert made.code == 0, made
        with Image.open(goal) as picture:
            found[name] = np.array(picture)
    assert np.array_equal(found["mask"], found["see-through"])
    assert np.array_equal(found["mask"][32:], start[32:]) and not np.array_equal(found["mask"][:32], start[:32])
    refused = run(*words, "--mask", tmp_path / "start.txt", "-o", tmp_path / "x.png", "--json")
    assert refused.code in (2, 3) and refused.error["hint"]


@pytest.mark.usefixtures("library")
def test_a_refiner(run: Run, tmp_path: Path) -> None:
    words = [
        "preview",
        "tiny-shapes-base",
        "-p",
        "a red circle on a blue background",
        "--size",
        "64x64",
        "--steps",
        "4",
    ]
    plain = run(*words, "-o", tmp_path / "p.png", "--json")
    found = run(
        *words, "--refiner", "tiny-shapes-stripes-unet", "--switch-at", "0.5", "-o", tmp_path / "r.png", "--json"
    )
    assert found.code == 0, found
    settings = parse_infotext(found.json["images"][0]["infotext"]).settings
    assert settings["Refiner"].startswith("tiny-shapes-stripes-unet [") and settings["Refiner switch at"] == "0.5"
    assert (tmp_path / "p.png").read_bytes() != (tmp_path / "r.png").read_bytes() and plain.code == 0


@pytest.mark.usefixtures("library")
def test_an_embedding(run: Run, tmp_path: Path) -> None:
    words = ["preview", "tiny-shapes-base", "-p", "a red circle, sundisc", *QUICK, "-o", tmp_path / "p.png", "--json"]
    found = run(*words, "--embedding", "sundisc.safetensors")
    assert found.code == 0, found
    assert "TI hashes: " in found.json["images"][0]["infotext"]


def test_what_has_to_be_said(run: Run, demo_library: Library, tmp_path: Path) -> None:
    for words, absent in (
        (["-p", "x", "-o", "p.png"], "SOURCE"),
        ([demo_library.base, "-o", "p.png"], "-p PROMPT"),
        ([demo_library.base, "-p", "x"], "-o OUT.png"),
    ):
        refused = run("preview", *words, "--json")
        assert refused.code == 2 and absent in refused.error["message"]
    bad = run("preview", demo_library.base, "-p", "x", "--sampler", "Eulr", "-o", tmp_path / "p.png", "--json")
    assert bad.code == 2 and "Did you mean 'Euler'" in bad.error["hint"]
