"""Schedules against diffusers' training sigmas, closed forms, and the rules that all of them share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelhub.errors import NotFoundError
from modelhub.preview.noise_levels import NoiseLevels, scaled_linear
from modelhub.preview.samplers import find_sampler
from modelhub.preview.schedules import resolve, schedule_names, sigmas

LEVELS = scaled_linear()
REAL = [name for name in schedule_names() if name != "Automatic"]


def test_training_levels_of_stable_diffusion() -> None:
    assert len(LEVELS) == 1000
    assert pytest.approx(0.0291675, rel=1e-5) == LEVELS.lowest
    assert pytest.approx(14.614642, rel=1e-5) == LEVELS.highest
    assert (np.diff(LEVELS.sigmas) > 0).all()


def test_training_levels_equal_those_of_diffusers() -> None:
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    ascending = theirs.sigmas[:-1].flip(0).numpy()
    np.testing.assert_allclose(LEVELS.sigmas, ascending, rtol=2e-4)


@pytest.mark.parametrize("timestep", [0, 1, 7.25, 500.5, 998.999, 999])
def test_timestep_and_sigma_are_inverse(timestep: float) -> None:
    assert LEVELS.timestep(float(LEVELS.at(timestep))) == pytest.approx(timestep, abs=1e-6)


def test_between_two_timesteps_log_sigma_is_linear() -> None:
    levels = NoiseLevels([0.5, 0.2])
    low, high = levels.sigmas
    assert float(levels.at(0.25)) == pytest.approx(low**0.75 * high**0.25)
    assert levels.timestep(low**0.75 * high**0.25) == pytest.approx(0.25)


def test_sigmas_outside_the_trained_range_get_its_ends() -> None:
    assert LEVELS.timestep(1e-4) == 0
    assert LEVELS.timestep(1e4) == 999


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 150])
def test_every_schedule_falls_from_the_highest_level_to_zero(name: str, steps: int) -> None:
    found = sigmas(name, find_sampler("Euler"), steps, LEVELS)
    assert found.shape == (steps + 1,)
    assert found.dtype == torch.float32
    assert found[0].item() == pytest.approx(LEVELS.highest, rel=1e-6)
    assert found[-1].item() == 0
    assert (found.diff() < 0).all()


def test_uniform_steps_are_even_in_timesteps() -> None:
    found = sigmas("Uniform", find_sampler("Euler"), 4, LEVELS)
    assert [round(LEVELS.timestep(sigma), 3) for sigma in found[:-1].tolist()] == [999, 666, 333, 0]


def test_karras_steps_are_even_in_the_seventh_root() -> None:
    found = sigmas("Karras", find_sampler("Euler"), 12, LEVELS)
    roots = found[:-1].double() ** (1 / 7)
    torch.testing.assert_close(roots.diff(), torch.full((11,), (roots[-1] - roots[0]).item() / 11, dtype=torch.float64))
    assert found[-2].item() == pytest.approx(LEVELS.lowest, rel=1e-5)


@pytest.mark.parametrize(("sampler", "meant"), [("DPM++ 2M", "Karras"), ("Euler", "Uniform"), ("Euler a", "Uniform")])
def test_automatic_is_what_suits_the_sampler(sampler: str, meant: str) -> None:
    chosen = find_sampler(sampler)
    assert resolve("automatic", chosen) == meant
    assert torch.equal(sigmas("Automatic", chosen, 9, LEVELS), sigmas(meant, chosen, 9, LEVELS))


def test_an_unknown_schedule_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match="There is no schedule 'karas'") as caught:
        resolve("karas", find_sampler("Euler"))
    assert "Did you mean 'Karras'?" in caught.value.hint
    assert all(name in caught.value.hint for name in schedule_names())
