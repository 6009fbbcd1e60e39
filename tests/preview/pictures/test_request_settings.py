"""A request becomes an infotext and the infotext the same request again, whatever was asked for."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.preview.pictures.asking import request_of
from modelhub.preview.pictures.infotext import write_infotext
from modelhub.preview.pictures.origin import Origin
from modelhub.preview.pictures.reading.a1111 import read_a1111
from modelhub.preview.pictures.settings import request_settings
from modelhub.preview.request import EMPHASES, SOURCES, Hires, Request, Variation
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import resolve
from modelhub.preview.sampling.tuning import Tuning

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), max_size=30)
floats = st.floats(0, 30, allow_subnormal=False)
some = st.none() | floats
sizes = st.integers(8, 256).map(lambda side: side * 8)
samplers = st.sampled_from(SAMPLER_NAMES)
schedules = st.sampled_from([name for name in SCHEDULE_NAMES if name != "Automatic"])
above = st.floats(0.001, 30)
tunings = st.builds(
    Tuning,
    eta=some,
    churn=floats,
    churn_min=st.floats(0, 5),
    churn_max=st.floats(5, 30) | st.just(math.inf),
    noise=floats,
    rho=st.none() | st.floats(0.05, 30),
    sigma_min=st.none() | above,
    sigma_max=st.none() | above,
    beta_alpha=above,
    beta_beta=above,
    discard=st.none() | st.booleans(),
    rounded=st.booleans(),
    sgm_noise=st.booleans(),
    order=st.integers(1, 3),
    variant=st.sampled_from(["bh1", "bh2", "vary_coeff"]),
    skip=st.sampled_from(["time_uniform", "logSNR"]),
    lower_order_final=st.booleans(),
)


@st.composite
def second_passes(draw: st.DrawFn) -> Hires:
    pair = (draw(sizes), draw(sizes)) if draw(st.booleans()) else None
    return Hires(
        scale=2.0 if pair else draw(st.floats(1, 8)),
        width=pair[0] if pair else None,
        height=pair[1] if pair else None,
        upscaler=draw(
            st.sampled_from(["Latent", "Latent (nearest-exact)", "Lanczos", "4x-UltraSharp", "R-ESRGAN 4x+"])
        ),
        steps=draw(st.integers(0, 150)),
        denoise=draw(st.floats(0, 1)),
        sampler=draw(st.none() | samplers),
        schedule=draw(st.none() | schedules),
        cfg=draw(some),
        prompt=draw(words),
        negative=draw(words),
    )


requests = st.builds(
    Request,
    prompt=words.filter(lambda text: not text.startswith("Negative prompt:")),
    negative=words,
    sampler=samplers,
    schedule=schedules,
    steps=st.integers(1, 150),
    cfg=floats,
    seed=st.integers(0, 2**63 - 65),
    width=sizes,
    height=sizes,
    clip_skip=st.integers(1, 12),
    emphasis=st.sampled_from(EMPHASES),
    guidance=some,
    rng=st.sampled_from(SOURCES),
    ensd=st.integers(-(2**31), 2**31),
    variation=st.none() | st.builds(Variation, st.integers(0, 2**63 - 65), st.floats(0.001, 1)),
    resize_from=st.none() | st.tuples(sizes, sizes),
    tuning=tunings,
    hires=st.none() | second_passes(),
    switch_at=st.floats(0, 1),
)


def written(request: Request, origin: Origin | None = None) -> str:
    sampler = find_sampler(request.sampler)
    assert request.width and request.height
    size = (request.width, request.height)
    schedule = resolve(request.schedule, sampler)
    return write_infotext(
        request.prompt, request.negative, request_settings(request, sampler, size, schedule=schedule, origin=origin)
    )


@settings(deadline=None, max_examples=300)
@given(requests)
def test_what_is_written_is_asked_for_again(request: Request) -> None:
    eta = request.tuning.eta
    found, notes = request_of(read_a1111(written(request, Origin("some model", "ab" * 32, recipe="a: 1, b"))))
    assert found == request
    assert found.tuning.eta == eta
    assert notes == ()


def test_a1111_writes_its_keys_in_this_order() -> None:
    request = Request(
        "p",
        sampler="DPM++ 2M",
        width=512,
        height=768,
        clip_skip=2,
        ensd=31337,
        rng="CPU",
        variation=Variation(5, 0.25),
        resize_from=(512, 512),
        tuning=Tuning(eta=0.5),
        hires=Hires(upscaler="4x-UltraSharp", steps=10, denoise=0.5),
    )
    text = written(request, Origin("base", "0" * 64, vae_name="mse.pt", vae_sha256="1" * 64)).split("\n")[-1]
    keys = [pair.partition(":")[0] for pair in text.split(", ")]
    assert keys == [
        "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE",
        "Variation seed", "Variation seed strength", "Seed resize from", "Denoising strength", "Clip skip", "ENSD", "RNG",
        "Eta", "Hires upscale", "Hires steps", "Hires upscaler", "Version",
    ]  # fmt: skip


def test_the_same_eta_has_another_name_where_the_sampler_has_timesteps() -> None:
    plain = Request("p", width=64, height=64, tuning=Tuning(eta=0.3))
    for name in SAMPLER_NAMES:
        sampler = find_sampler(name)
        found = request_settings(replace(plain, sampler=name), sampler, (64, 64))
        assert found.get("Eta DDIM" if sampler.timesteps else "Eta") == "0.3"


def test_what_automatic_came_to_is_told_of_both_passes() -> None:
    request = Request("p", sampler="DPM++ 2M", width=64, height=64, hires=Hires(sampler="Euler a"))
    found = request_settings(
        request, find_sampler("DPM++ 2M"), (64, 64), seed=9, schedule="Karras", hires_schedule="Uniform"
    )
    assert (found["Schedule type"], found["Hires schedule type"], found["Seed"]) == ("Karras", "Uniform", 9)


def test_a_variation_of_strength_0_is_none_and_not_told() -> None:
    found = request_settings(Request("p", variation=Variation(5, 0.0)), find_sampler("Euler"), (64, 64))
    assert not [key for key in found if key.startswith("Variation")]


def test_models_of_all_kinds_are_told() -> None:
    origin = Origin(
        "base", refiner_name="sdxl_ref", refiner_sha256="2" * 64, embeddings=[("easy", "3" * 64), ("x", None)]
    )
    found = request_settings(Request("p", switch_at=0.7), find_sampler("Euler"), (64, 64), origin=origin)
    assert found["Refiner"] == f"sdxl_ref [{'2' * 10}]"
    assert found["Refiner switch at"] == "0.7"
    assert found["TI hashes"] == f"easy: {'3' * 12}"
