"""Settings that are said to do nothing with a sampler do nothing, and the others do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from sampling_world import LEVELS, Seer

from modelhub.preview.noise.noise import Noise
from modelhub.preview.sampling.names import SAMPLER_NAMES
from modelhub.preview.sampling.sampler import Run
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import plan_sigmas
from modelhub.preview.sampling.tuning import Tuning
from modelhub.preview.sampling.unheeded import unheeded

SETTINGS: tuple[Mapping[str, object], ...] = (
    {"eta": 0.3}, {"churn": 4.0}, {"noise": 1.1}, {"churn": 4.0, "noise": 1.1}, {"churn": 4.0, "churn_max": 5.0},
    {"eta": 0.0, "noise": 1.1}, {"eta": 0.5, "noise": 1.1}, {"order": 1}, {"variant": "vary_coeff"}, {"skip": "logSNR"},
    {"lower_order_final": False}, {"churn_min": 1.0},
)  # fmt: skip


def picture(name: str, tuning: Tuning, ensd: int = 0) -> torch.Tensor:
    sampler = find_sampler(name)
    noise = Noise([3], (1, 4, 4), source="CPU", dtype=torch.float64, ensd=ensd)
    sigmas = plan_sigmas("Automatic", sampler, 6, LEVELS)
    start = noise.initial() * (1 if sampler.timesteps else float(sigmas[0]))
    return sampler.sample(Seer(), start, sigmas, Run(noise.next, noise.brownian, lambda *_: None, LEVELS, tuning))


@pytest.mark.parametrize("name", [name for name in SAMPLER_NAMES if name != "DPM adaptive"])
def test_what_is_told_to_change_nothing_changes_nothing_and_the_rest_does(name: str) -> None:
    for settings in SETTINGS:
        *others, last = settings
        tuning = Tuning(**settings)  # type: ignore[arg-type]
        without = Tuning(**{other: settings[other] for other in others})  # type: ignore[arg-type]
        same = torch.equal(picture(name, tuning), picture(name, without))
        assert same == (last in unheeded(find_sampler(name), tuning, 0)), settings


@pytest.mark.parametrize("name", [name for name in SAMPLER_NAMES if name not in ("DPM adaptive", "Restart")])
@pytest.mark.parametrize("settings", [{}, {"eta": 0.0}, {"eta": 1.0}, {"churn": 4.0}])
def test_ensd_counts_where_noise_is_drawn_on_the_way(name: str, settings: dict[str, float]) -> None:
    tuning = Tuning(**settings)  # type: ignore[arg-type]
    same = torch.equal(picture(name, tuning), picture(name, tuning, ensd=31337))
    assert same == ("ensd" in unheeded(find_sampler(name), tuning, 31337))


def test_nothing_set_is_nothing_told() -> None:
    assert all(unheeded(find_sampler(name), Tuning(), 0) == [] for name in SAMPLER_NAMES)
    assert unheeded(find_sampler("Euler"), Tuning(rho=5.0, rounded=True, sgm_noise=True, discard=True), 0) == []
