"""Settings that change nothing are told in one sentence, with what they change nothing; those that do are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_pictures import DEV, PIX2PIX, SD1, SDXL, Letters, Memory, flux, flux_parts, one_thread

from modelhub.preview.render import Refiner, Renderer
from modelhub.preview.request import Hires, Request, Start, Variation
from modelhub.preview.sampling.tuning import Tuning

REQUEST = Request("a red circle", sampler="Euler", steps=20, width=64, height=64)
START = Start(np.full((64, 64, 3), 128, np.uint8), 0.5, image_cfg=2.0)


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with one_thread(), torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SD1.source(), name="small", device="cpu")


def of_flux(guided: bool, **options: Any) -> Renderer:
    tensors, parts = flux(replace(DEV, guided=guided)), flux_parts()
    return Renderer(Memory(tensors), name="flux", device="cpu", parts=parts, t5_tokenizer=Letters(), **options)


IDLE: list[tuple[dict[str, Any], str]] = [
    ({"sampler": "DPM++ 2M", "tuning": Tuning(eta=0.5, churn=2)}, "the sampler DPM++ 2M these settings change nothing: eta, churn"),
    ({"tuning": Tuning(churn_min=0.1)}, "the sampler Euler these settings change nothing: churn_min"),
    ({"ensd": 31337}, "the sampler Euler these settings change nothing: ensd"),
    ({"tuning": Tuning(order=2)}, "the sampler Euler these settings change nothing: order"),
    ({"sampler": "DDIM", "schedule": "Beta"}, "the sampler DDIM these settings change nothing: schedule"),
    ({"sampler": "UniPC", "tuning": Tuning(rho=5)}, "the sampler UniPC these settings change nothing: rho"),
    ({"sampler": "DPM adaptive", "steps": 5}, "the sampler DPM adaptive these settings change nothing: steps"),
    ({"sampler": "DPM fast", "schedule": "Beta"}, "the sampler DPM fast these settings change nothing: schedule"),
    ({"schedule": "Simple", "tuning": Tuning(rho=5, sigma_max=9)}, "the schedule Simple these settings change nothing: rho, sigma_max"),
    ({"tuning": Tuning(rho=5, churn_max=9)}, "Euler these settings change nothing: churn_max; with the schedule Uniform: rho."),
    ({"schedule": "Karras", "tuning": Tuning(beta_alpha=1)}, "the schedule Karras these settings change nothing: beta_alpha"),
    ({"guidance": 3.5}, "a model that was not distilled to be guided by it these settings change nothing: guidance"),
    ({"start": START}, "a model that is no pix2pix these settings change nothing: image CFG scale"),
    ({"start": START, "tuning": Tuning(sgm_noise=True)}, "with a picture to start from: sgm_noise"),
    ({"sampler": "PLMS", "tuning": Tuning(sgm_noise=True)}, "PLMS these settings change nothing: sgm_noise"),
    ({"variation": Variation(7, 0)}, "a strength of 0 these settings change nothing: the variation"),
    ({"hires": Hires(denoise=0, steps=4, prompt="x")}, "strength of 0 these settings change nothing: steps of the second pass, prompt of"),
    ({"hires": Hires(sampler="Heun"), "tuning": Tuning(eta=0.5)}, "the samplers Euler and Heun these settings change nothing: eta"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), IDLE, ids=range(len(IDLE)))
def test_what_changes_nothing_is_told(renderer: Renderer, change: dict[str, Any], said: str) -> None:
    (note,) = renderer.notes(replace(REQUEST, **change))
    assert note.startswith("With ") and said in note


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tuning": Tuning(churn=2, churn_min=0.1, noise=1.1), "ensd": 3},
        {"sampler": "Euler a", "tuning": Tuning(eta=0.5), "ensd": 3},
        {"sampler": "DPM++ 2M SDE", "tuning": Tuning(eta=0.5, noise=1.1)},
        {"sampler": "DDIM", "tuning": Tuning(eta=0.5), "ensd": 3},
        {"sampler": "UniPC", "tuning": Tuning(order=2, variant="bh2")},
        {"schedule": "Karras", "tuning": Tuning(rho=5, sigma_min=0.1, discard=True, rounded=True, sgm_noise=True)},
        {"schedule": "Beta", "tuning": Tuning(beta_alpha=1, beta_beta=1)},
        {"sampler": "DPM adaptive", "steps": 5, "prompt": "[a:b:3]"},
        {"sampler": "DPM adaptive", "steps": 5, "schedule": "DDIM"},
        {"sampler": "DPM fast", "schedule": "Beta", "start": replace(START, image_cfg=1.5)},
        {"hires": Hires(sampler="Euler a", denoise=0.5), "tuning": Tuning(eta=0.5)},
        {"hires": Hires(denoise=0)},
        {"sampler": "DPM fast", "schedule": "DDIM"},
        {"clip_skip": 2, "variation": Variation(7, 0.5)},
    ],
)
def test_what_changes_something_is_not(renderer: Renderer, change: dict[str, Any]) -> None:
    assert renderer.notes(replace(REQUEST, **change)) == ()


def test_what_depends_on_the_model_is_told_for_that() -> None:
    sdxl, pix2pix = (Renderer(one.source(), name="small", device="cpu") for one in (SDXL, PIX2PIX))
    (note,) = sdxl.notes(replace(REQUEST, clip_skip=2))
    assert note == "With a model of sdxl these settings change nothing: clip skip."
    assert pix2pix.notes(replace(REQUEST, start=START)) == ()
    refined = Renderer(SD1.source(), name="small", device="cpu", refiner=Refiner(SD1.source(), "other"))
    assert "the refiner" in refined.notes(replace(REQUEST, switch_at=1))[0]
    assert refined.notes(replace(REQUEST, switch_at=0.9)) == ()


def test_flux_has_guidance_of_its_own() -> None:
    dev, schnell = of_flux(True), of_flux(False, prediction="v", zero_snr=True)
    request = replace(REQUEST, cfg=1.0, guidance=2.5)
    assert dev.notes(request) == ()
    (note,) = dev.notes(replace(request, cfg=7.0))
    assert "twice the time" in note and "guidance alone" in note
    (note,) = schnell.notes(replace(request, clip_skip=2, tuning=Tuning(rounded=True)))
    assert "with a model of flux1" not in note and "With a model of flux1" in note
    for said in ("clip skip", "guidance", "a flow model: rounded, prediction, zero SNR"):
        assert said in note


def test_a_setting_that_is_told_to_change_nothing_changes_nothing(renderer: Renderer) -> None:
    """Each of them, but for those that would take long; schedules that end alike differ in the last digits."""
    small = replace(REQUEST, steps=2)
    for change, _ in IDLE:
        if "DPM adaptive" in change.values() or "hires" in change:
            continue
        kept = ("sampler", "schedule") if "tuning" in change else ("sampler",)
        plain = {name: value for name, value in change.items() if name in kept}
        plain |= {"start": replace(START, image_cfg=1.5)} if "start" in change else {}
        one, other = (renderer.render(replace(small, **settings)).pictures[0].pixels for settings in (change, plain))
        assert np.abs(one.astype(int) - other).max() <= 1, change
