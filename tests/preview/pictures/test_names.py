"""Samplers and schedules of all programs, in A1111's words."""

from __future__ import annotations

import pytest

from modelhub.preview.pictures.names import (
    COMFY_SAMPLERS,
    COMFY_SCHEDULES,
    INVOKE,
    NOVELAI,
    schedule_name,
    split_sampler,
)
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import resolve


@pytest.mark.parametrize(
    ("name", "schedule", "found"),
    [
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Heun Exponential", None, ("DPM++ 2M SDE Heun", "Exponential")),
        ("DPM2 a Karras", "Automatic", ("DPM2 a", "Karras")),
        ("DPM++ 2M", "SGM Uniform", ("DPM++ 2M", "SGM Uniform")),
        ("Euler SGMUniform", None, ("Euler", "SGM Uniform")),
        ("LMS Karras", None, ("LMS", "Karras")),
        ("DDIM", None, ("DDIM", None)),
        ("Euler a", None, ("Euler a", None)),
        ("euler_ancestral", "sgm_uniform", ("Euler a", "SGM Uniform")),
        ("dpmpp_2m_sde_gpu", "karras", ("DPM++ 2M SDE", "Karras")),
        ("dpmpp_2m_karras", None, ("DPM++ 2M", "Karras")),
        ("Restart", "ddim_uniform", ("Restart", "DDIM")),
        ("My Own Karras", None, ("My Own Karras", None)),
        ("Karras", None, ("Karras", None)),
        ("", None, ("", None)),
    ],
)
def test_sampler_and_schedule_are_told_apart(name: str, schedule: str | None, found: tuple[str, str | None]) -> None:
    assert split_sampler(name, schedule) == found


def test_every_name_that_is_ours_stays() -> None:
    for name in SAMPLER_NAMES:
        assert split_sampler(name) == (name, None)
        for schedule in SCHEDULE_NAMES:
            assert split_sampler(name, schedule) == (name, schedule)


def test_the_tables_lead_to_what_there_is() -> None:
    for name in {*COMFY_SAMPLERS.values(), *NOVELAI.values(), *(sampler for sampler, _ in INVOKE.values())}:
        assert find_sampler(name).name == name
    for schedule in {*COMFY_SCHEDULES.values(), *(schedule for _, schedule in INVOKE.values())}:
        resolve(schedule, find_sampler("Euler"))
        assert schedule_name(schedule) == schedule
