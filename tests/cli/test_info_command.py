"""info: what a picture says and which of its models are here, in lines, in JSON, and never obeyed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modelhub.catalog.store import Catalog
from modelhub.demo.library import Library

Run = Callable[..., Any]
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202eb\r[red]c[/red]"


def picture(path: Path, **chunks: str) -> Path:
    info = PngInfo()
    for name, text in chunks.items():
        info.add_itxt(name, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def infotext(*more: str, prompt: str = "a red circle") -> str:
    return f"{prompt}\nNegative prompt: bad\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 64x64, {', '.join(more)}"


def hashes(home: Path) -> dict[str, dict[str, str | None]]:
    with Catalog.open(home) as catalog:
        return {asset.path.stem: asset.hashes for asset in catalog.find()}


def test_models_are_found_by_their_hashes(run: Run, library: Library, home: Path, tmp_path: Path) -> None:
    known = hashes(home)
    base, lora = known["tiny-shapes-base"], known["tiny-shapes-framed-lora"]
    text = infotext(
        f"Model hash: {(base['sha256'] or '')[:10]}", "Model: renamed", "VAE hash: 0123456789", "VAE: lost.pt",
        f'Lora hashes: "framed: {(lora["autov3"] or "")[:12]}"', "Version: v1.10.1",
        prompt="a red circle <lora:framed:0.8>",
    )  # fmt: skip
    found = run("info", picture(tmp_path / "a.png", parameters=text), "--json").json
    assert (found["software"], found["prompt"], found["negative"]) == (
        "AUTOMATIC1111 v1.10.1", "a red circle <lora:framed:0.8>", "bad",
    )  # fmt: skip
    assert (found["sampler"], found["schedule"], found["steps"], found["seed"]) == ("DPM++ 2M", "Karras", 20, 5)
    assert (found["width"], found["height"], found["cfg"], found["infotext"]) == (64, 64, 7.0, text)
    models = {one["role"]: one for one in found["models"]}
    assert (models["checkpoint"]["state"], models["checkpoint"]["matched_by"]) == ("here", "hash")
    assert Path(models["checkpoint"]["asset"]["path"]).stem == "tiny-shapes-base"
    assert (models["lora"]["state"], models["lora"]["weight"]) == ("here", 0.8)
    assert (models["vae"]["state"], models["vae"]["get"]) == ("absent", "modelhub get 0123456789")
    shown = run("info", tmp_path / "a.png")
    assert shown.code == 0 and "not here; modelhub get 0123456789" in shown.out
    assert "tiny-shapes-base.safetensors" in shown.out and "a red circle <lora:framed:0.8>" in shown.out


def test_a_model_whose_file_is_gone_and_one_of_the_same_name(
    run: Run, library: Library, home: Path, tmp_path: Path
) -> None:
    known = hashes(home)
    with Catalog.open(home) as catalog:
        (asset,) = catalog.named("tiny-shapes-pastel")
        with catalog.atomic():
            catalog.rows("UPDATE assets SET missing = 1 WHERE id = ?", [asset.id])
    digest = (known["tiny-shapes-pastel"]["sha256"] or "")[:10]
    gone = picture(tmp_path / "a.png", parameters=infotext(f"Model hash: {digest}", "Model: tiny-shapes-pastel"))
    found = run("info", gone, "--json").json["models"][0]
    assert (found["state"], found["get"]) == ("missing", f"modelhub get {digest}")
    assert "its file is gone" in run("info", gone).out
    other = picture(tmp_path / "b.png", parameters=infotext("Model hash: 0123456789", "Model: tiny-shapes-base"))
    found = run("info", other, "--json").json["models"][0]
    assert (found["state"], found["other_content"]) == ("absent", True)
    assert "has its name and another content" in run("info", other).out


@pytest.mark.usefixtures("library")
def test_civitai_numbers_are_what_get_takes(run: Run, tmp_path: Path) -> None:
    listed = '[{"type":"lora","weight":0.8,"modelVersionId":5,"modelName":"Style"}]'
    path = picture(tmp_path / "a.png", parameters=infotext(f"Civitai resources: {listed}"))
    (found,) = run("info", path, "--json").json["models"]
    assert (found["get"], found["name"], found["civitai_version"]) == ("modelhub get civitai:@5", "Style", 5)
    from modelhub.fetch.sources import read_source

    assert read_source(found["get"].split()[-1]).address == "civitai:@5"


@pytest.mark.usefixtures("library")
def test_several_pictures_and_one_that_is_none(run: Run, tmp_path: Path) -> None:
    one = picture(tmp_path / "a.png", parameters=infotext("Model: x"))
    bare = picture(tmp_path / "bare.png")
    silent = run("info", bare)
    assert silent.code == 0 and "does not say how it was made" in silent.out
    found = run("info", bare, "--json").json
    assert (found["prompt"], found["settings"], found["models"]) == (None, {}, []) and found["notes"]
    both = run("info", one, bare, tmp_path / "missing.png", "--json")
    assert both.code == 3 and [set(entry) >= {"prompt"} for entry in both.json[:2]] == [True, True]
    assert both.json[2]["error"]["code"] == "vanished"
    (tmp_path / "text.png").write_text("no picture")
    assert run("info", tmp_path / "text.png", "--json").error["code"] == "corrupt-file"
    assert run("info").code == 2


@pytest.mark.usefixtures("library")
def test_lines_of_prompts_stay_lines_and_settings_that_are_left_out_are_counted(run: Run, tmp_path: Path) -> None:
    many = [f"Key {at}: {at}" for at in range(100)]
    path = picture(tmp_path / "a.png", parameters=infotext(r'ADetailer prompt: "a face\nred"', *many))
    lines = run("info", path).out.splitlines()
    assert lines[lines.index("ADetailer prompt  a face") + 1].split() == ["red"]
    assert any("more settings, which --json has" in line for line in lines)
    assert run("info", path, "--json").json["settings"]["Key 99"] == "99"


@pytest.mark.usefixtures("library")
def test_what_holds_no_prompt_is_not_made_again(run: Run, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", extras="Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+")
    shown = run("info", path).out
    assert "upscaler R-ESRGAN 4x+" in shown and "again:" not in shown


@pytest.mark.usefixtures("library")
def test_hostile_words_are_shown_and_not_obeyed(run: Run, tmp_path: Path) -> None:
    value = json.dumps(HOSTILE + "\n" + "W" * 5000)
    path = picture(
        tmp_path / "a.png",
        parameters=infotext(f"Model: {value}", f"Weird: {value}", f"Refiner: {value}", prompt=HOSTILE),
    )
    for words in (["info", path], ["info", path, "--json"], ["info", path, "--infotext"]):
        shown = run(*words)
        assert shown.code == 0
        assert all(char.isprintable() or char in "\n\t" for char in shown.out), words
    assert "\\x1b[2J" in run("info", path).out and "[red]c[/red]" in run("info", path).out
    assert max(map(len, run("info", path).out.splitlines())) < 1000


@pytest.mark.usefixtures("library")
def test_the_infotext_of_a_graph_is_what_a1111_would_read(run: Run, tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny-shapes-base.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}},
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 3, "steps": 9, "cfg": 5, "sampler_name": "euler_ancestral", "scheduler": "normal", "denoise": 1,
                "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
            },
        },
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
    }  # fmt: skip
    path = picture(tmp_path / "a.png", prompt=json.dumps(graph))
    lines = run("info", path, "--infotext").out.splitlines()
    assert lines[0] == "a cat" and lines[2].startswith(
        "Steps: 9, Sampler: Euler a, Schedule type: Normal, CFG scale: 5, Seed: 3"
    )
    (model,) = run("info", path, "--json").json["models"]
    assert (model["state"], model["matched_by"]) == ("here", "name")
    assert "(by its name alone)" in run("info", path).out


@pytest.mark.usefixtures("library")
def test_our_own_pictures_are_made_again_to_the_last_byte(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "mix.toml"
    recipe.write_text(
        'name = "mix"\n[models]\nA = "tiny-shapes-base"\nB = "tiny-shapes-pastel"\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "B"]\nalpha = 0.5\n'
    )
    words = ["-p", "a red circle", "--steps", "3", "--size", "64x64", "--sampler", "Euler a", "--seed", "4"]
    made = run("preview", recipe, *words, "-o", tmp_path / "a.png")
    assert made.code == 0, made
    found = run("info", tmp_path / "a.png", "--json").json
    assert found["recipe"] and found["models"][0]["state"] == "unwritten" and found["software"].startswith("modelhub ")
    again = tmp_path / "again.toml"
    again.write_text(run("info", tmp_path / "a.png", "--recipe").out)
    assert again.read_text() == found["recipe"]
    assert run("preview", again, "--like", tmp_path / "a.png", "-o", tmp_path / "b.png").code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.usefixtures("library")
def test_recipes_that_are_not_there(run: Run, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", parameters=infotext("Model: x"))
    assert run("info", path, "--recipe").code == 2
    assert run("info", path, path, "--recipe").code == 2
    assert run("info", path, "--recipe", "--infotext").code == 2


def test_info_needs_no_torch(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", parameters=infotext("Model: x"))
    code = f"import sys; from modelhub.cli.console import main; main(['info', {str(path)!r}]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
