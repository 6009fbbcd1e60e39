"""From pictures of others to requests: their names and habits understood, and every gap told in a sentence."""

from __future__ import annotations

import pytest

from modelhub.preview.pictures.asking import request_of
from modelhub.preview.pictures.generation import Generation
from modelhub.preview.pictures.reading.a1111 import read_a1111
from modelhub.preview.request import Request


def asked(*settings: str, prompt: str = "a cat") -> tuple[Request, tuple[str, ...]]:
    return request_of(read_a1111(f"{prompt}\n{', '.join(settings)}"))


USUAL = ("Steps: 25", "Sampler: DPM++ 2M Karras", "CFG scale: 6.5", "Seed: 9", "Size: 512x768")


def test_a_picture_of_old_times() -> None:
    request, notes = asked(*USUAL, "Model hash: 7460a6fa", "Clip skip: 2", "ENSD: 31337")
    assert (request.sampler, request.schedule, request.steps, request.cfg) == ("DPM++ 2M", "Karras", 25, 6.5)
    assert (request.seed, request.width, request.height, request.clip_skip) == (9, 512, 768, 2)
    assert (request.ensd, request.rng, request.tuning.rounded) == (31337, "NV", False)
    assert notes == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("Sampler: DPM++ 2M",), ("DPM++ 2M", "Uniform")),
        (("Sampler: DPM++ 2M", "Version: v1.8.0"), ("DPM++ 2M", "Uniform")),
        (("Sampler: DPM++ 2M", "Schedule type: Automatic"), ("DPM++ 2M", "Automatic")),
        (("Sampler: Restart",), ("Restart", "Automatic")),
        (("Sampler: DPM++ 2M SDE Exponential",), ("DPM++ 2M SDE", "Exponential")),
    ],
)
def test_a_sampler_without_a_schedule_had_the_uniform_one(settings: tuple[str, ...], expected: tuple[str, str]) -> None:
    """Before A1111 1.9 `DPM++ 2M` and `DPM++ 2M Karras` were two samplers; since then the schedule is always told."""
    request, _ = asked("Steps: 20", *settings, "CFG scale: 7", "Seed: 1", "Size: 512x512")
    assert (request.sampler, request.schedule) == expected


def test_who_rounds_timesteps_and_where_noise_comes_from() -> None:
    assert asked(*USUAL, "Version: f2.0.1v1.10.1-previous-1")[0].tuning.rounded
    assert not asked(*USUAL, "Version: v1.10.1")[0].tuning.rounded
    request, _ = request_of(Generation("ComfyUI", "a (cat:1.2)", settings={"Seed": "1", "RNG": "CPU"}))
    assert (request.rng, request.tuning.rounded, request.tuning.sgm_noise) == ("CPU", True, True)


def test_hires_by_size_and_by_one_side() -> None:
    request, _ = asked(*USUAL, "Hires resize: 1024x1536", "Hires upscaler: Latent", "Denoising strength: 0.6")
    assert request.hires is not None
    assert (request.hires.width, request.hires.height, request.hires.denoise) == (1024, 1536, 0.6)
    request, _ = asked(*USUAL, "Hires resize: 1024x0", "Hires upscaler: Latent", "Hires sampler: Use same sampler")
    assert request.hires is not None and (request.hires.width, request.hires.scale) == (None, 2.0)
    assert request.hires.sampler is None


@pytest.mark.parametrize(
    ("setting", "note"),
    [
        ("Sampler: Made Up", "no sampler"),
        ("Schedule type: Made Up", "no schedule"),
        ("Steps: 900", "takes 150"),
        ("Size: 500x3000", "takes 496x2048"),
        ("Seed: -1", "seed"),
        ("Seed: 99999999999999999999", "seed"),
        ("CFG scale: many", "no number"),
        ("Schedule rho: 0", "rho"),
        ("ENSD: 9999999999999999999", "ENSD"),
        ("Seed resize from: what", "no size"),
        ("Denoising strength: 0.4", "another one"),
        ("Face restoration: CodeFormer", "faces"),
        ("Tiling: True", "tiled"),
        ("Noise Schedule: Zero Terminal SNR", "Zero Terminal SNR"),
        ("ADetailer model: x.pt", "ADetailer"),
        ("Dynamic thresholding enabled: True", "Dynamic thresholding enabled"),
        ("Postprocess upscale by: 4", "when it was finished"),
        ("SMEA: DYN", "several sizes"),
        ("Hires upscale: 99", "enlarge"),
        ("Emphasis: Loud", "Emphasis"),
    ],
)
def test_what_a_preview_cannot_do_is_said(setting: str, note: str) -> None:
    key = setting.partition(":")[0]
    usual = [one for one in USUAL if not one.startswith(f"{key}:")]
    _, notes = asked(*usual, setting)
    assert any(note in sentence for sentence in notes), notes
    assert all(sentence.endswith(".") for sentence in notes)


def test_what_is_off_or_only_tells_is_not_noted() -> None:
    _, notes = asked(
        *USUAL, "Noise Schedule: Default", "Tiling: False", "Version: v1.9", "TI hashes: x", "Created Date: 1"
    )
    assert notes == ()
