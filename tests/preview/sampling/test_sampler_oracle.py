"""Samplers against what k-diffusion makes of the same start, noise and denoiser; recorded, see tests/data/samplers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sampling_world import CASES, Case, ours
from torch import Tensor

RECORDED = Path(__file__).parents[2] / "data/samplers/k-diffusion.safetensors"


@pytest.fixture(scope="module")
def recorded() -> Mapping[str, Tensor]:
    return load_file(RECORDED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_double_precision_is_k_diffusion_to_the_last_digits(case: Case, recorded: Mapping[str, Tensor]) -> None:
    found, seer, _ = ours(case, torch.float64)
    close = {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(found, recorded[f"{case.name}/64/picture"], **close)
    torch.testing.assert_close(torch.tensor(seer.asked).double(), recorded[f"{case.name}/64/asked"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_single_precision_is_k_diffusion_up_to_rounding(case: Case, recorded: Mapping[str, Tensor]) -> None:
    """The adaptive steps are measured in single precision there, so that they differ a little."""
    found, _, _ = ours(case, torch.float32)
    tolerance = 5e-4 if case.sampler == "DPM adaptive" else 5e-5
    torch.testing.assert_close(found, recorded[f"{case.name}/32/picture"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case.tuning.get("eta")], ids=lambda case: case.name)
def test_noise_is_asked_for_at_the_same_times_to_the_last_digit(case: Case, recorded: Mapping[str, Tensor]) -> None:
    """The Brownian tree has another leaf for a time that differs in the last digit of single precision."""
    _, _, draws = ours(case, torch.float32)
    times = recorded[f"{case.name}/32/times"]
    assert torch.equal(torch.tensor(draws.times, dtype=torch.float64), times)
    if case.function.endswith("sde"):
        assert len(times) == draws.count > 6


def test_every_sampler_of_k_diffusion_has_a_case(recorded: Mapping[str, Tensor]) -> None:
    assert {name.split("/")[0] for name in recorded} == {case.name for case in CASES}
    assert len({case.sampler for case in CASES}) == 14
