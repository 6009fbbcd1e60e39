"""`/sdapi/v1` of a real server on the demo models: the same pictures as `modelhub preview`, and sentences for the rest."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from served import Server

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.cli.console import main
from modelhub.errors import CancelledError
from modelhub.jobs import Job
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.scan.run import scan
from modelhub.server.api.line import BusyError, Line
from modelhub.server.api.options import USUAL
from modelhub.server.api.wishes import read_wish

PROMPT = "a red circle on a blue background"
PLAIN = {"prompt": PROMPT, "steps": 3, "seed": 7, "width": 64, "height": 64}
WORDS = ["-p", PROMPT, "--steps", "3", "--seed", "7", "--size", "64x64"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with all of the demo models, hashed."""
    folder = tmp_path_factory.mktemp("api")
    shutil.copytree(data_path("demo"), folder / "models")
    with Catalog.open(folder / "home") as catalog:
        scan(catalog, [folder / "models"], hashes="fast")
    return folder


@pytest.fixture(scope="module")
def server(library: Path) -> Iterator[Server]:
    """One server for all tests here."""
    running = Server(environment={"MODELHUB_HOME": str(library / "home")})
    yield running
    assert running.stop() == 0


@pytest.fixture
def get(server: Server):
    """`get("sd-models")`: the answer as JSON."""

    def ask(path: str, **query: str) -> Any:
        answer = requests.get(f"{server.told['api']}/{path}", params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def post(server: Server):
    """`post("txt2img", fields)`: the answer as JSON, which has to have that status."""

    def ask(path: str, fields: Any, status: int = 200) -> Any:
        answer = requests.post(f"{server.told['api']}/{path}", json=fields, timeout=120)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


@pytest.fixture
def preview(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`preview(*words)`: what the command line renders on the same catalog."""

    def run(*words: str) -> list[Image.Image]:
        monkeypatch.setenv("MODELHUB_HOME", str(library / "home"))
        assert main(["preview", *words, "-o", str(tmp_path / "out.png"), "--json"]) == 0
        return [Image.open(path) for path in sorted(tmp_path.glob("out*.png"))]

    return run


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(b64decode(text)))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return b64encode(file.getvalue()).decode()


def start_picture() -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    return np.stack([x * 4, y * 4, np.full_like(x, 90)], -1).astype(np.uint8)


# -- what there is -----------------------------------------------------------------------------------------------------


def test_models_have_the_names_that_clients_read(get, library):
    models = get("sd-models")
    assert models[0]["model_name"] == "tiny-shapes-base", "whole checkpoints come first"
    first = models[0]
    assert first["title"] == f"tiny-shapes-base.safetensors [{first['sha256'][:10]}]"
    assert first["hash"] == first["sha256"][:10]
    assert first["filename"] == str(library / "models" / "tiny-shapes-base.safetensors")
    assert {model["model_name"] for model in models} == {
        "tiny-shapes-base", "tiny-shapes-pastel-unet", "tiny-shapes-stripes-unet"
    }  # fmt: skip


def test_everything_else_that_clients_ask_for(get):
    assert [one["name"] for one in get("samplers")] == list(SAMPLER_NAMES)
    assert [one["label"] for one in get("schedulers")] == list(SCHEDULE_NAMES)
    assert {"name": "sgm_uniform", "label": "SGM Uniform"}.items() <= get("schedulers")[5].items()
    assert [one["name"] for one in get("loras")] == ["tiny-shapes-framed-lora"]
    assert get("embeddings")["loaded"]["sundisc"]["vectors"] == 1
    upscalers = {one["name"]: one["scale"] for one in get("upscalers")}
    assert {"None", "Lanczos", "tiny-realesrgan-x4"} <= set(upscalers)
    assert upscalers["tiny-realesrgan-x4"] == 4
    assert get("options")["sd_model_checkpoint"].startswith("tiny-shapes-base.safetensors [")
    assert get("progress")["state"]["job"] == ""
    assert get("memory")["ram"]["total"] > 1 << 28
    for path in ("sd-vae", "cmd-flags", "scripts", "latent-upscale-modes", "prompt-styles", "face-restorers"):
        get(path)


# -- the same pictures -------------------------------------------------------------------------------------------------

SAME = {
    "plain": ({}, []),
    "sampler": (
        {"sampler_name": "Euler a", "scheduler": "karras", "cfg_scale": 4.5},
        ["--sampler", "Euler a", "--schedule", "Karras", "--cfg", "4.5"],
    ),
    "old name": ({"sampler_index": "DPM++ 2M Karras"}, ["--sampler", "DPM++ 2M Karras"]),
    "negative": (
        {"negative_prompt": "green", "override_settings": {"CLIP_stop_at_last_layers": 2}},
        ["-n", "green", "--clip-skip", "2"],
    ),
    "batch": ({"batch_size": 2, "n_iter": 2}, ["--batch", "4"]),
    "lora": ({"prompt": f"{PROMPT} <lora:tiny-shapes-framed-lora:0.8>"}, ["--lora", "tiny-shapes-framed-lora:0.8"]),
    "embedding": ({"prompt": "sundisc on a blue background"}, ["-p", "sundisc on a blue background"]),
    "variation": ({"subseed": 5, "subseed_strength": 0.3}, ["--variation", "5:0.3"]),
    "noise": ({"eta": 0.5, "sampler_name": "Euler a", "s_noise": 1.1}, ["--eta", "0.5", "--sampler", "Euler a", "--tune", "noise=1.1"]),
    "hires": (
        {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.6, "hr_second_pass_steps": 2},
        ["--hires", "2", "--upscaler", "Latent", "--denoise", "0.6", "--hires-steps", "2"],
    ),
    "upscaler": (
        {"enable_hr": True, "hr_resize_x": 96, "hr_resize_y": 96, "hr_upscaler": "tiny-realesrgan-x4"},
        ["--hires", "96x96", "--upscaler", "tiny-realesrgan-x4"],
    ),
    "refiner": (
        {"refiner_checkpoint": "tiny-shapes-base", "refiner_switch_at": 0.5},
        ["--refiner", "tiny-shapes-base", "--switch-at", "0.5"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), SAME.values(), ids=SAME.keys())
def test_pictures_are_those_of_preview(post, preview, fields, words):
    answer = post("txt2img", {**PLAIN, **fields})
    images, wanted = [decoded(one) for one in answer["images"]], preview("tiny-shapes-base", *WORDS, *words)
    assert len(images) == len(wanted)
    for image, other in zip(images, wanted, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(other))
        assert image.text["parameters"] == other.text["parameters"]
    info = json.loads(answer["info"])
    assert info["infotexts"] == [image.text["parameters"] for image in images]
    assert info["all_seeds"] == [7 + at for at in range(len(images))]
    assert (info["width"], info["height"], info["steps"]) == (64, 64, 3)


@pytest.mark.parametrize("masked", [False, True])
def test_pictures_from_pictures_are_those_of_preview(post, preview, tmp_path, masked):
    start, mask = start_picture(), np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    Image.fromarray(start).save(tmp_path / "start.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    fields = {**PLAIN, "init_images": [f"data:image/png;base64,{encoded(start)}"], "denoising_strength": 0.6}
    words = ["--init", str(tmp_path / "start.png"), "--denoise", "0.6"]
    if masked:
        fields |= {"mask": encoded(255 - mask), "inpainting_mask_invert": 1, "mask_blur": 2}
        words += ["--mask", str(tmp_path / "mask.png"), "--mask-blur", "2"]
    answer = post("img2img", fields)
    (wanted,) = preview("tiny-shapes-base", *WORDS, *words)
    assert np.array_equal(np.asarray(decoded(answer["images"][0])), np.asarray(wanted))
    assert answer["parameters"]["init_images"] is None, "what was sent does not come back"
    assert json.loads(answer["info"])["denoising_strength"] == 0.6


def test_what_is_cut_keeps_its_middle_and_its_mask(post):
    start, mask = np.zeros((64, 192, 3), np.uint8), np.zeros((64, 192), np.uint8)
    start[:, 64:128], mask[:, 96:] = 255, 255
    cut = {"resize_mode": 1, "width": 64, "height": 64}
    wish = read_wish({"init_images": [encoded(start)], "mask": encoded(mask), **cut}, USUAL, from_picture=True)
    assert wish.given["start"].pixels.shape == (64, 64, 3)
    assert (wish.given["start"].pixels == 255).all(), "only the white middle is left"
    assert np.array_equal(wish.given["start"].mask, mask[:, 64:128])
    tall = read_wish({"init_images": [encoded(start)], **cut, "height": 128}, USUAL, from_picture=True)
    assert tall.given["start"].pixels.shape == (64, 32, 3)
    answer = post("img2img", {**PLAIN, "init_images": [encoded(start)], "resize_mode": 1, "steps": 1})
    assert decoded(answer["images"][0]).size == (64, 64)


def test_where_nothing_is_said_it_is_as_suits_the_model(post, preview):
    answer = post("txt2img", {"prompt": PROMPT, "seed": 1, "steps": 2})
    (wanted,) = preview("tiny-shapes-base", "-p", PROMPT, "--steps", "2")
    assert np.array_equal(np.asarray(decoded(answer["images"][0])), np.asarray(wanted))


def test_a_seed_of_minus_one_is_any(post):
    fields = {**PLAIN, "seed": -1, "steps": 1}
    seeds = {json.loads(post("txt2img", {**fields, "send_images": False})["info"])["seed"] for _ in range(4)}
    assert len(seeds) == 4
    assert all(0 <= seed < 1 << 32 for seed in seeds)
    assert post("txt2img", {**fields, "send_images": False})["images"] == []


# -- options -----------------------------------------------------------------------------------------------------------


def test_a_model_is_chosen_for_one_request_or_for_all(get, post, preview):
    titles = {model["model_name"]: model["title"] for model in get("sd-models")}
    base, other = (decoded(post("txt2img", {**PLAIN, "override_settings": settings})["images"][0]).text["parameters"]
                   for settings in ({}, {"sd_model_checkpoint": titles["tiny-shapes-pastel-unet"]}))  # fmt: skip
    assert "Model: tiny-shapes-base," in base
    assert "Model: tiny-shapes-pastel-unet," in other
    try:
        assert post("options", {"sd_model_checkpoint": "tiny-shapes-stripes-unet", "no_such_option": 5}) is None
        assert get("options")["sd_model_checkpoint"] == titles["tiny-shapes-stripes-unet"]
        image = decoded(post("txt2img", PLAIN)["images"][0])
        (wanted,) = preview("tiny-shapes-stripes-unet", *WORDS)
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
    finally:
        post("options", {"sd_model_checkpoint": titles["tiny-shapes-base"]})
    sha256 = get("sd-models")[0]["sha256"]
    for word in (sha256, sha256[:10], "TINY-SHAPES-BASE.safetensors", titles["tiny-shapes-base"]):
        post("options", {"sd_model_checkpoint": word})
    detail = post("options", {"sd_model_checkpoint": "none-such"}, 404)["detail"]
    assert "no model 'none-such'" in detail


def test_the_model_can_be_let_go_of(post):
    assert post("unload-checkpoint", {}) == {}
    for what in ("checkpoints", "loras", "vae", "embeddings"):
        assert post(f"refresh-{what}", {}) is None
    assert len(post("txt2img", {**PLAIN, "steps": 1})["images"]) == 1


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "field", "words"),
    [
        ({"steps": "many"}, 422, "steps", "must be a number, not 'many'"),
        ({"steps": 2.5}, 422, "steps", "must be a whole number"),
        ({"steps": True}, 422, "steps", "must be a number"),
        ({"steps": 0}, 422, None, "A number of steps of 0 is not possible"),
        ({"steps": 10**400}, 422, "steps", "must be a number"),
        ({"prompt": 5}, 422, "prompt", "must be a text"),
        ({"prompt": "x" * 30_000}, 422, None, "30000 characters"),
        ({"width": 63}, 422, None, "A width of 63 pixels"),
        ({"width": 100_000, "height": 100_000}, 422, None, "too many pixels"),
        ({"batch_size": 64, "n_iter": 64}, 422, None, None),
        ({"batch_size": 0, "n_iter": -1}, 422, "batch_size", "1 or more"),
        ({"batch_size": 60, "width": 2048, "height": 2048}, 422, None, "too many pixels"),
        ({"enable_hr": True, "hr_scale": 8, "width": 2048, "height": 2048}, 422, None, "too many pixels"),
        ({"seed": -5}, 422, None, "A seed of -5"),
        ({"seed": 2**70}, 422, None, "A seed of"),
        ({"cfg_scale": "NaN"}, 422, "cfg_scale", "must be a number"),
        ({"sampler_name": "Magic"}, 404, None, "no sampler 'Magic'"),
        ({"scheduler": "Magic"}, 404, None, "no schedule 'Magic'"),
        ({"override_settings": 5}, 422, "override_settings", "must be a JSON object"),
        ({"override_settings": {"sd_model_checkpoint": "x"}}, 404, None, "no model 'x'"),
        ({"override_settings": {"sd_vae": "x"}}, 404, None, "no VAE 'x'"),
        ({"override_settings": {"emphasis": "x"}}, 422, "emphasis", "must be one of"),
        ({"override_settings": {"CLIP_stop_at_last_layers": 99}}, 422, None, "clip skip of 99"),
        ({"enable_hr": True, "hr_upscaler": "x"}, 404, None, "no upscaler 'x'"),
        ({"enable_hr": "perhaps"}, 422, "enable_hr", "must be true or false"),
        ({"refiner_checkpoint": "x"}, 404, None, "no model 'x'"),
        ({"prompt": "<lora:nowhere:1>"}, 404, None, "names a LoRA"),
        ({"prompt": "<lora:/etc/passwd:1>"}, 422, None, "by their file names"),
        ({"prompt": "<lora:tiny-shapes-framed-lora:much>"}, 422, None, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(post, fields, status, field, words):
    detail = post("txt2img", {**PLAIN, **fields}, status)["detail"]
    if status == 422:
        assert isinstance(detail, list)
        assert detail[0]["loc"] == (["body", field] if field else ["body"])
        detail = detail[0]["msg"]
    assert words is None or words in detail
    assert "Traceback" not in detail


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({}, "init_images", "must have a picture"),
        ({"init_images": []}, "init_images", "must have a picture"),
        ({"init_images": "x"}, "init_images", "must be a list"),
        ({"init_images": ["!!!"]}, "init_images", "base64"),
        ({"init_images": [b64encode(b"no picture").decode()]}, "init_images", "holds no picture"),
        ({"init_images": ["http://127.0.0.1/x.png"]}, "init_images", "addresses are not opened"),
        ({"init_images": [encoded(start_picture())] * 2}, "init_images", "must have one picture"),
        ({"init_images": [encoded(start_picture())], "mask": encoded(np.zeros((8, 8), np.uint8))}, "mask", "as large"),
    ],
)
def test_pictures_that_are_none_are_refused(post, fields, field, words):
    (detail,) = post("img2img", {**PLAIN, **fields}, 422)["detail"]
    assert detail["loc"] == ["body", field]
    assert words in detail["msg"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"5", b"\xff", b"[" * 100_000, b'"x"'])
def test_bodies_that_are_no_objects_are_refused(server, body):
    answer = requests.post(f"{server.told['api']}/txt2img", data=body, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "body"]


def test_a_body_that_is_too_large_is_refused(server):
    data = b'{"prompt": "' + b"x" * (65 << 20) + b'"}'
    try:
        answer = requests.post(f"{server.told['api']}/txt2img", data=data, timeout=60)
    except requests.ConnectionError:
        return  # refused before all of it was sent
    assert answer.status_code == 422
    assert "too large" in answer.json()["detail"][0]["msg"]


def test_what_nobody_knows_is_told(post):
    fields = {
        "styles": [],
        "tiling": True,
        "restore_faces": False,
        "alwayson_scripts": {"x": {}},
        "foo": None,
        "bar": "y",
    }
    info = json.loads(post("txt2img", {**PLAIN, "steps": 1, **fields})["info"])
    assert info["notes"][0] == "Left out, because this renderer does not know it: alwayson_scripts, bar, tiling."
    assert json.loads(post("txt2img", {**PLAIN, "steps": 1})["info"])["notes"] == []


def test_other_sites_are_refused_here_too(server):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = requests.post(f"{server.told['api']}/txt2img", json=PLAIN, headers=headers, timeout=60)
        assert answer.status_code == 403
        assert requests.get(f"{server.told['api']}/options", headers=headers, timeout=60).status_code == 403
    preflight = requests.options(
        f"{server.told['api']}/txt2img", headers={"Access-Control-Request-Method": "POST"}, timeout=60
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_without_models_it_says_what_to_do(tmp_path):
    other = Server(environment={"MODELHUB_HOME": str(tmp_path / "empty")})
    answer = requests.post(f"{other.told['api']}/txt2img", json=PLAIN, timeout=60)
    assert answer.status_code == 404
    assert "modelhub scan" in answer.json()["detail"]
    assert requests.get(f"{other.told['api']}/sd-models", timeout=60).json() == []
    assert "modelhub serve --web" in requests.get(other.address, timeout=60).text
    assert other.stop() == 0


def test_from_other_machines_the_token_is_a_password(library):
    other = Server("--host", "0.0.0.0", environment={"MODELHUB_HOME": str(library / "home")})
    address = f"http://127.0.0.1:{other.port}/sdapi/v1/samplers"
    assert requests.get(address, timeout=60).status_code == 401
    assert requests.get(address, auth=("any", other.told["token"]), timeout=60).ok
    assert other.stop() == 0


# -- the line ----------------------------------------------------------------------------------------------------------

LONG = {"prompt": PROMPT, "steps": 150, "width": 256, "height": 256, "batch_size": 2, "seed": 1}


def sampling(get) -> dict[str, Any]:
    """The progress, as soon as something is sampled."""
    for _ in range(600):
        if (found := get("progress"))["state"]["sampling_step"] > 1:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing is sampled")


def test_progress_is_told_and_interrupting_ends_it(get, post):
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(post("txt2img", LONG)))
    thread.start()
    found = sampling(get)
    assert 0 < found["progress"] < 1
    assert found["state"]["sampling_steps"] == 150
    assert found["eta_relative"] > 0
    assert decoded(found["current_image"]).size[0] >= 32
    assert get("progress", skip_current_image="true")["current_image"] is None
    waiting = threading.Thread(target=lambda: answers.append(post("txt2img", {**PLAIN, "steps": 1})))
    waiting.start()
    assert post("interrupt", {}) == {}
    thread.join(60)
    waiting.join(60)
    assert answers[0]["images"] == []
    assert "Interrupted." in json.loads(answers[0]["info"])["notes"]
    assert len(answers[1]["images"]) == 1, "the next one goes on"
    assert get("progress")["progress"] == 0


def test_stopping_the_server_stops_the_rendering(library):
    other = Server(environment={"MODELHUB_HOME": str(library / "home")})

    def ask() -> None:
        with suppress(requests.ConnectionError):
            requests.post(f"{other.told['api']}/txt2img", json=LONG, timeout=60)

    thread = threading.Thread(target=ask)
    thread.start()
    sampling(lambda path: requests.get(f"{other.told['api']}/{path}", timeout=60).json())
    start = time.monotonic()
    assert other.stop(signal.SIGTERM) == 0
    assert time.monotonic() - start < 40
    thread.join(20)


async def test_a_line_goes_one_by_one_and_is_bounded():
    line, order, go = Line(), [], threading.Event()

    def work(number: int):
        def run(job: Job) -> int:
            order.append(number)
            go.wait(20)
            return number

        return run

    running = [asyncio.create_task(line.run(work(number))) for number in range(33)]
    await asyncio.sleep(0.1)
    assert order == [0]
    with pytest.raises(BusyError, match="32 requests wait"):
        await line.run(work(99))
    go.set()
    assert await asyncio.gather(*running) == list(range(33)) == order
    assert await line.run(work(5)) == 5
    await asyncio.to_thread(line.close)
    with pytest.raises((CancelledError, RuntimeError)):
        await line.run(work(6))


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_what_a_picture_says_is_read(post):
    image = post("txt2img", {**PLAIN, "steps": 1, "negative_prompt": "green"})["images"][0]
    found = post("png-info", {"image": image})
    assert found["info"] == decoded(image).text["parameters"]
    assert found["parameters"]["Prompt"] == PROMPT
    assert found["parameters"]["Negative prompt"] == "green"
    assert found["parameters"]["Seed"] == "7"
    assert found["items"] == {}
    assert post("png-info", {"image": encoded(start_picture(), "JPEG")}) == {"info": "", "items": {}, "parameters": {}}
    for image in ("", "x", None, 5):
        post("png-info", {"image": image}, 422)


@pytest.mark.parametrize("name", ["Lanczos", "tiny-realesrgan-x4"])
def test_a_picture_is_enlarged_as_upscale_does(post, library, tmp_path, monkeypatch, name):
    Image.fromarray(start_picture()).save(tmp_path / "small.png")
    monkeypatch.setenv("MODELHUB_HOME", str(library / "home"))
    words = ["upscale", str(tmp_path / "small.png"), "--with", name, "--scale", "2", "-o", str(tmp_path / "large.png")]
    assert main([*words, "--json"]) == 0
    fields = {"image": encoded(start_picture()), "upscaler_1": name, "upscaling_resize": 2}
    image = decoded(post("extra-single-image", fields)["image"])
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(tmp_path / "large.png").convert("RGB")))


def test_a_picture_is_enlarged_to_a_size(post):
    size = {"resize_mode": 1, "upscaling_resize_w": 100, "upscaling_resize_h": 50}
    answer = post("extra-single-image", {"image": encoded(start_picture()), "upscaler_1": "Nearest", **size})
    assert decoded(answer["image"]).size == (100, 50)
    for wrong in (
        {"upscaling_resize": 0},
        {"upscaling_resize": 99},
        {"resize_mode": 1},
        {"resize_mode": 1, "upscaling_resize_w": -1, "upscaling_resize_h": 5},
        {"resize_mode": 1, "upscaling_resize_w": 10**9, "upscaling_resize_h": 10**9},
    ):
        post("extra-single-image", {"image": encoded(start_picture()), "upscaler_1": "Nearest", **wrong}, 422)
    post("extra-single-image", {"image": encoded(start_picture()), "upscaler_1": "x"}, 404)
    post("extra-single-image", {"upscaler_1": "Nearest"}, 422)
