"""Rendering the demo checkpoint: pictures that show the prompt, the same every time, alone or in a batch."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_pictures import one_thread

from modelhub import __version__
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Component, Identity
from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import (
    CancelledError,
    IncompatibleError,
    ModelhubError,
    NotFoundError,
    UnknownModelError,
    UsageError,
)
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed
from modelhub.jobs import Event, Job
from modelhub.preview.denoising.guidance import from_epsilon, from_v
from modelhub.preview.models import support
from modelhub.preview.models.parameterization import prediction_of
from modelhub.preview.pictures.infotext import parse_infotext
from modelhub.preview.pictures.picture import Picture, Pixels
from modelhub.preview.prompts.embeddings import ANY, Embedding
from modelhub.preview.prompts.tags import Tag, Used
from modelhub.preview.render import Renderer, render
from modelhub.preview.render_wishes import check_prompts
from modelhub.preview.request import Hires, Request
from modelhub.preview.sampling.names import SAMPLER_NAMES

CIRCLE = Request("a red circle on a blue background", steps=8, cfg=3.5, seed=2)


def demo() -> SafetensorsFile:
    return SafetensorsFile(data_path("demo", "tiny-shapes-base.safetensors"))


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with one_thread(), demo() as source:
        yield Renderer(source, name="tiny-shapes-base", sha256="0123456789abcdef" * 4, device="cpu")


@pytest.fixture(scope="module")
def circle(renderer: Renderer) -> Pixels:
    return one(renderer, CIRCLE).pixels


def one(renderer: Renderer, request: Request) -> Picture:
    (picture,) = renderer.render(request).pictures
    return picture


def difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


class Poisoned(TensorSource):
    """A source of which the tensors whose names hold `word` are NaN."""

    def __init__(self, source: TensorSource, word: str) -> None:
        self._source, self._word = source, word
        self.header = source.header

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self._source.read_into(name, offset, buffer)
        if self._word in name:
            buffer[:] = b"\x7e" * len(buffer)


def only(source: TensorSource, *prefixes: str) -> Renamed:
    return Renamed(source, lambda name: name if name.startswith(prefixes) else None)


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M"])
def test_a_red_circle_on_a_blue_background(renderer: Renderer, sampler: str) -> None:
    picture = one(renderer, replace(CIRCLE, sampler=sampler, steps=10))
    assert picture.pixels.shape == (64, 64, 3)
    middle, corner = picture.pixels[26:38, 26:38].mean((0, 1)), picture.pixels[:6, :6].mean((0, 1))
    assert middle[0] > 150
    assert middle[2] < 110
    assert corner[2] > 150
    assert corner[0] < 110
    assert picture.warnings == ()


def test_euler_with_even_timesteps_is_ddim(renderer: Renderer) -> None:
    """DDIM (Song et al. 2021, equation 12 with eta 0), written in the alphas that the file itself holds."""
    request = replace(CIRCLE, sampler="Euler", schedule="Uniform", steps=10, negative="a ring", rng="CPU")
    model = renderer.model
    with demo() as source:
        alphas = source.tensor("alphas_cumprod").double().tolist()
    times = list(range(999, -1, -111))
    told = renderer._stage.main.reader.prompter(request.prompt, request.negative, steps=10)
    pair = told.prompt[0].script.at(1).tokens, told.negative.at(1).tokens
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(request.seed)) * (1 - alphas[999]) ** 0.5
    for time, alpha_next in zip(times, [alphas[t] for t in times[1:]] + [1.0], strict=True):
        alpha, t = alphas[time], torch.tensor([float(time)])
        cond, uncond = (model.network(x, t, context[None]) for context in pair)
        noise = uncond + request.cfg * (cond - uncond)
        clean = (x - (1 - alpha) ** 0.5 * noise) / alpha**0.5
        x = alpha_next**0.5 * clean + (1 - alpha_next) ** 0.5 * noise
    image = model.vae.decode(x / 0.18215)[0].permute(1, 2, 0)
    expected = ((image + 1) * 127.5).clamp(0, 255).to(torch.uint8).numpy()
    assert difference(one(renderer, request).pixels, expected) <= 1


def test_the_same_request_is_the_same_bytes(renderer: Renderer) -> None:
    again = render(demo(), CIRCLE, name="other name", device="cpu").pictures[0]
    assert np.array_equal(one(renderer, CIRCLE).pixels, again.pixels)
    assert np.array_equal(one(renderer, CIRCLE).pixels, again.pixels)


@pytest.mark.parametrize("sampler", [name for name in SAMPLER_NAMES if name != "DPM adaptive"])  # which takes long
def test_a_picture_does_not_depend_on_its_batch_and_all_steps_are_told(renderer: Renderer, sampler: str) -> None:
    events: list[Event] = []
    request = replace(CIRCLE, sampler=sampler, steps=3, batch=2)
    batch = renderer.render(request, Job("test", events.append)).pictures
    assert [picture.seed for picture in batch] == [2, 3]
    alone = one(renderer, replace(request, batch=1, seed=3))
    assert difference(batch[1].pixels, alone.pixels) <= 1 < difference(batch[0].pixels, alone.pixels)
    assert batch[1].infotext == alone.infotext
    last = [event for event in events if event.phase == "sampling"][-1]
    assert last.done == last.total


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3}, {"prompt": "a green circle on a blue background"}, {"negative": "a ring"}, {"cfg": 1.0},
        {"steps": 7}, {"schedule": "Uniform"}, {"sampler": "Euler"}, {"clip_skip": 2},
        {"prompt": CIRCLE.prompt + " and" * 80},
    ],
)  # fmt: skip
def test_every_word_of_a_request_counts(renderer: Renderer, circle: Pixels, change: dict[str, object]) -> None:
    assert difference(circle, one(renderer, replace(CIRCLE, **change)).pixels) > 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(128, 64), (72, 88)])
def test_any_multiple_of_eight_is_a_size(renderer: Renderer, width: int, height: int) -> None:
    picture = one(renderer, replace(CIRCLE, width=width, height=height, steps=2))
    assert picture.pixels.shape == (height, width, 3)
    assert f"Size: {width}x{height}" in picture.infotext


def test_the_infotext_says_how_it_was_made(renderer: Renderer) -> None:
    found = parse_infotext(
        one(renderer, replace(CIRCLE, negative="blurry", sampler="dpm++2m", steps=3, clip_skip=2)).infotext
    )
    assert (found.prompt, found.negative) == (CIRCLE.prompt, "blurry")
    assert dict(found.settings) == {
        "Steps": "3", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "3.5", "Seed": "2",
        "Size": "64x64", "Model hash": "0123456789", "Model": "tiny-shapes-base", "Clip skip": "2", "RNG": "NV",
        "Version": f"modelhub {__version__}",
    }  # fmt: skip


def test_an_unwritten_merge_names_its_recipe_and_has_no_hash() -> None:
    picture = render(demo(), replace(CIRCLE, steps=1), name="mix", recipe='a = "b"\n', device="cpu").pictures[0]
    found = parse_infotext(picture.infotext).settings
    assert found["Merge recipe"] == 'a = "b"\n'
    assert found["Model"] == "mix"
    assert "Model hash" not in found


def test_another_vae_changes_the_picture_and_stands_in_the_infotext(renderer: Renderer) -> None:
    base, broken = demo(), only(Poisoned(demo(), "decoder.conv_out"), "first_stage_model.")
    options = {"vae_name": "v.safetensors", "vae_sha256": "fedcba9876543210", "device": "cpu"}
    picture = render(base, replace(CIRCLE, steps=1), name="m", vae=broken, **options).pictures[0]  # type: ignore[arg-type]
    assert "decoder.conv_out of the vae" in picture.warnings[0]
    assert "VAE hash: fedcba9876, VAE: v.safetensors" in picture.infotext
    without = only(demo(), "model.diffusion_model.", "cond_stage_model.")
    alone = Renamed(demo(), lambda name: name.removeprefix("first_stage_model.") if name.startswith("first") else None)
    joined = render(without, replace(CIRCLE, width=64, height=64), name="m", vae=alone, device="cpu").pictures[0]
    assert np.array_equal(joined.pixels, one(renderer, CIRCLE).pixels)


def test_a_broken_denoiser_is_said_to_be_broken() -> None:
    source = Poisoned(demo(), "diffusion_model.out.2")
    picture = render(source, replace(CIRCLE, steps=1), name="m", device="cpu").pictures[0]
    assert "denoiser" in picture.warnings[0]


def test_a_job_hears_of_every_phase_and_sees_the_picture_grow() -> None:
    events: list[Event] = []
    rendering = render(demo(), CIRCLE, name="m", device="cpu", job=Job("preview", events.append))
    phases = list(dict.fromkeys(event.phase for event in events))
    assert phases == ["loading", "encoding", "sampling", "decoding"]
    assert list(rendering.seconds) == phases
    glances = [event for event in events if event.picture is not None]
    assert [event.done for event in glances] == list(range(1, 9))
    assert {event.unit for event in glances} == {"steps"}
    last = glances[-1].picture
    assert (last.shape, last.dtype) == ((8, 8, 3), np.uint8)
    assert last[3:5, 3:5, 0].mean() > last[3:5, 3:5, 2].mean() + 50
    assert last[0, 0, 2] > last[0, 0, 0].astype(int) + 50


def test_a_cancelled_job_stops_within_a_step(renderer: Renderer) -> None:
    seen: list[Event] = []

    def sink(event: Event) -> None:
        seen.append(event)
        if event.phase == "sampling" and event.done == 2:
            job.cancel()

    job = Job("preview", sink, interval=0)
    with pytest.raises(CancelledError):
        renderer.render(replace(CIRCLE, steps=100), job)
    assert seen[-1].done <= 3


@pytest.mark.parametrize(
    "change",
    [
        {"width": 60}, {"height": 100}, {"width": 4096}, {"height": 0}, {"steps": 0}, {"steps": 151}, {"batch": 0},
        {"batch": 65}, {"cfg": float("nan")}, {"cfg": -1.0}, {"seed": -1}, {"clip_skip": 0}, {"prompt": "x" * 30_000},
        {"negative": "\udcff"},
    ],
)  # fmt: skip
def test_impossible_requests_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        replace(CIRCLE, **change)  # type: ignore[arg-type]
    assert caught.value.hint


def test_names_and_layers_that_are_not_there(renderer: Renderer) -> None:
    with pytest.raises(NotFoundError, match="no sampler 'DDIMM'"):
        renderer.render(replace(CIRCLE, sampler="DDIMM"))
    with pytest.raises(NotFoundError, match="no schedule 'x'"):
        renderer.render(replace(CIRCLE, schedule="x"))
    with pytest.raises(UsageError, match="Clip skip 12"):
        renderer.render(replace(CIRCLE, clip_skip=12))
    with pytest.raises(NotFoundError, match="no sampler 'DDIMM'"):
        render(Poisoned(demo(), ""), replace(CIRCLE, sampler="DDIMM"), name="m", device="cpu")
    with pytest.raises(UsageError, match="no device 'tpu'"):
        render(demo(), CIRCLE, name="m", device="tpu")


@pytest.mark.parametrize(
    ("prefixes", "message"),
    [
        (("model.diffusion_model.", "first_stage_model."), "lacks the CLIP-L text encoder"),
        (("model.diffusion_model.", "cond_stage_model."), "lacks the VAE"),
    ],
)
def test_a_model_without_one_of_its_parts(prefixes: tuple[str, ...], message: str) -> None:
    with pytest.raises(IncompatibleError, match=message) as caught:
        render(only(demo(), *prefixes), CIRCLE, name="half", device="cpu")
    assert "half" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["tiny-shapes-framed-lora", "tiny-shapes-stripes-unet"])
def test_what_is_no_checkpoint(name: str) -> None:
    with SafetensorsFile(data_path("demo", f"{name}.safetensors")) as source, pytest.raises(IncompatibleError):
        render(source, CIRCLE, name=name, device="cpu")


def test_loras_in_a_prompt_must_be_those_in_the_source(renderer: Renderer) -> None:
    with pytest.raises(UsageError, match="names style, and the picture would be made with no LoRA"):
        renderer.render(replace(CIRCLE, prompt="a red circle <lora:style:0.8>"))
    with demo() as source:
        used = [Used(Tag("style", Weight(0.8)), "0123456789ab")]
        ready = Renderer(source, name="tiny-shapes-base", device="cpu", loras=used)
        found = one(ready, replace(CIRCLE, prompt=f"{CIRCLE.prompt}<lora:style:0.8>"))
        with pytest.raises(UsageError, match="names style, and"):
            ready.render(replace(CIRCLE, prompt="a red circle <lora:style:0.7>"))
        with pytest.raises(UsageError, match="names no LoRA"):
            ready.render(CIRCLE)
        with pytest.raises(UsageError, match="of the second pass names other, and"):
            ready.render(replace(CIRCLE, prompt="<lora:style:0.8>", hires=Hires(prompt="<lora:other:1>")))
    assert difference(found.pixels, one(renderer, CIRCLE).pixels) == 0, "tags are no part of the text"
    assert parse_infotext(found.infotext).settings["Lora hashes"] == "style: 0123456789ab"


@pytest.mark.parametrize("change", [{"prompt": "(a:1..2)"}, {"negative": "[a:b:-1]"}, {"hires": Hires(prompt="(a:.)")}])
def test_prompts_that_cannot_be_read_need_no_model_to_be_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=">>>"):
        check_prompts(replace(CIRCLE, **change))
    check_prompts(replace(CIRCLE, prompt="(a:1..2)", emphasis="None"))


def test_the_second_pass_has_words_of_its_own() -> None:
    with demo() as source:
        words = [
            Embedding(name, {ANY: torch.ones(1, 64)}, digits * 64) for name, digits in (("one", "1"), ("two", "2"))
        ]
        used = [Used(Tag("style", Weight(0.8)), "0123456789ab")]
        ready = Renderer(source, name="demo", device="cpu", embeddings=words, loras=used)
    hires = Hires(1.5, steps=1, prompt="a two (dog", negative="<lora:style:1>")
    request = Request("a one <lora:style:0.8>", steps=1, cfg=1, hires=hires, width=64, height=64)
    found = ready.render(request)
    assert parse_infotext(found.pictures[0].infotext).settings["TI hashes"] == "one: 111111111111, two: 222222222222"
    said = ["nothing closes this bracket", "only text", "CFG scale of 1 the negative", "LoRAs stay in the second pass"]
    assert len(found.notes) == 4 and all(one in note for one, note in zip(said, found.notes, strict=True))


@pytest.mark.parametrize(
    ("identity", "error", "words"),
    [
        (Identity(), UnknownModelError, "no architecture"),
        (Identity(kind="checkpoint"), UnknownModelError, "no architecture"),
        (Identity(kind="lora", architecture="sd1"), IncompatibleError, "is a lora for sd1"),
        (Identity(kind="checkpoint", architecture="sd3"), IncompatibleError, "is sd3, which cannot be rendered"),
        (Identity(kind="checkpoint", architecture="sd2", variant="depth"), IncompatibleError, "a depth map"),
        (Identity(kind="checkpoint", architecture="sd1", layout="diffusers"), IncompatibleError, "diffusers layout"),
    ],
)
def test_what_cannot_be_rendered_says_why(identity: Identity, error: type[ModelhubError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        support.check(identity, "x\n.safetensors")
    assert r"x\x0a.safetensors" in caught.value.message
    assert caught.value.hint


PROBE = "output_blocks.11.1.transformer_blocks.0.norm1.bias"


@pytest.mark.parametrize(
    ("identity", "spread", "expected"),
    [
        (Identity(architecture="sd2"), 0.2, from_v),
        (Identity(architecture="sd2"), 0.02, from_epsilon),
        (Identity(architecture="sd2", prediction="epsilon"), 0.2, from_epsilon),
        (Identity(architecture="sd1"), 0.2, from_epsilon),
        (Identity(architecture="sd1", prediction="v"), 0.02, from_v),
    ],
)
def test_the_prediction_type_of_sd2_is_probed(
    make_file: Callable[..., str], identity: Identity, spread: float, expected: object
) -> None:
    identity = replace(identity, components=(Component("denoiser", identity.architecture, "m.", 1, 320),))
    bias = np.random.default_rng(0).normal(0, spread, 320).astype(np.float16)
    with SafetensorsFile(make_file("p.safetensors", {f"m.{PROBE}": bias})) as source:
        assert prediction_of(source, identity, "m.", "epsilon") is expected


def test_with_the_renderer_its_networks_go_at_once() -> None:
    with demo() as source:
        renderer = Renderer(source, name="tiny-shapes-base", device="cpu")
    renderer.render(replace(CIRCLE, steps=1), Job("test", lambda event: None))
    model = renderer.model
    gone = [weakref.ref(network) for network in (model.network, model.vae, *model.encoders.values())]
    gc.collect()
    gc.disable()  # cycles would keep gigabytes until it runs
    try:
        del renderer, model
        assert [one() for one in gone] == [None] * len(gone)
    finally:
        gc.enable()


def test_a_job_stops_a_call_of_the_denoiser_in_the_middle(renderer: Renderer) -> None:
    job, ends = Job("test"), []
    hooks = [
        renderer.model.network.middle_block.register_forward_pre_hook(lambda *_: job.cancel()),
        renderer.model.network.register_forward_hook(lambda *_: ends.append(1)),
    ]
    with pytest.raises(CancelledError):
        renderer.render(CIRCLE, job)
    for hook in hooks:
        hook.remove()
    assert not ends
    assert one(renderer, CIRCLE).std > 0


def test_the_last_seeds_there_are_can_be_a_batch() -> None:
    request = Request("a", seed=2**63 - 9, batch=8)
    assert request.seeds[-1] == 2**63 - 2
    with pytest.raises(UsageError, match="seed"):
        Request("a", seed=2**63 - 9, batch=9)


def test_a_live_preview_of_a_vae_that_is_broken_is_no_error() -> None:
    events: list[Event] = []
    source = Poisoned(demo(), "decoder.conv_out")
    picture = render(source, replace(CIRCLE, steps=1), name="m", device="cpu", job=Job("p", events.append)).pictures[0]
    assert picture.warnings
    assert any(event.picture is not None for event in events)
