"""Noise levels against k-diffusion, diffusers and closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from modelhub.preview.sampling.levels import (
    FLUX_SHIFT,
    SCHNELL_SHIFT,
    FlowLevels,
    NoiseLevels,
    scaled_linear,
    thinned,
    zero_terminal,
)

LEVELS = scaled_linear()
RECORDED = json.loads((Path(__file__).parents[2] / "data" / "schedules" / "k_diffusion.json").read_text())


def test_training_levels_of_stable_diffusion() -> None:
    assert len(LEVELS) == 1000
    assert pytest.approx(0.0291675, rel=1e-5) == LEVELS.lowest
    assert pytest.approx(14.614642, rel=1e-5) == LEVELS.highest
    assert (np.diff(LEVELS.sigmas) > 0).all()


def test_training_levels_are_rounded_alike_on_every_machine() -> None:
    """IEEE 754 has one answer for a root; that of the first level, whose float32 neighbour torch has on some."""
    assert float.hex(LEVELS.lowest) == "0x1.dde1800000000p-6"
    assert [float(np.float32(math.sqrt(square))) for square in (1 - LEVELS.alphas) / LEVELS.alphas] == list(
        LEVELS.sigmas
    )


def test_training_levels_equal_those_of_diffusers() -> None:
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    ascending = theirs.sigmas[:-1].flip(0).numpy()
    np.testing.assert_allclose(LEVELS.sigmas, ascending, rtol=2e-4)


@pytest.mark.parametrize(("sigma", "timestep", "nearest"), RECORDED["timesteps"])
def test_timesteps_are_those_of_k_diffusion(sigma: str, timestep: str, nearest: int) -> None:
    assert LEVELS.timestep(float.fromhex(sigma)) == pytest.approx(float.fromhex(timestep), abs=1e-3)
    assert LEVELS.timestep(float.fromhex(sigma), rounded=True) == nearest


def test_every_level_has_its_whole_timestep() -> None:
    assert [LEVELS.timestep(sigma) for sigma in LEVELS.sigmas] == list(range(1000))
    assert [LEVELS.timestep(sigma, rounded=True) for sigma in LEVELS.sigmas] == list(range(1000))


@pytest.mark.parametrize("timestep", [0, 1, 7.25, 500.5, 998.999, 999])
def test_timestep_and_sigma_are_inverse(timestep: float) -> None:
    assert LEVELS.timestep(float(LEVELS.at(timestep))) == pytest.approx(timestep, abs=1e-3)


def test_between_two_timesteps_log_sigma_is_linear() -> None:
    levels = NoiseLevels([0.5, 0.2])
    low, high = levels.sigmas
    assert float(levels.at(0.25)) == pytest.approx(low**0.75 * high**0.25, rel=1e-6)
    assert levels.timestep(low**0.75 * high**0.25) == pytest.approx(0.25, rel=1e-5)


def test_what_is_outside_of_the_trained_range_gets_its_ends() -> None:
    assert LEVELS.timestep(1e-4) == 0
    assert LEVELS.timestep(1e4) == 999
    np.testing.assert_allclose(LEVELS.at([-5, 2000]), [LEVELS.lowest, LEVELS.highest], rtol=1e-6)


def test_any_shape_of_timesteps() -> None:
    assert LEVELS.at(3).shape == ()
    assert LEVELS.at(torch.zeros(2, 3)).shape == (2, 3)


def test_zero_terminal_equals_diffusers_but_for_its_last_level() -> None:
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    ours = zero_terminal(LEVELS)
    np.testing.assert_allclose(ours.alphas[:-1], theirs[:-1], rtol=2e-4, atol=1e-9)
    assert ours.highest == pytest.approx(4518.76, rel=1e-6)
    assert ours.lowest == pytest.approx(LEVELS.lowest, rel=1e-5)
    assert (np.diff(ours.sigmas) > 0).all()
    assert LEVELS.highest < 15


def test_distilled_models_know_every_twentieth_level() -> None:
    levels = thinned(LEVELS, 20)
    assert levels.sigmas.tolist() == LEVELS.sigmas[19::20].tolist()
    assert len(levels) == 50
    assert thinned(LEVELS, 1).sigmas.tolist() == LEVELS.sigmas.tolist()
    assert thinned(levels, 7).highest == LEVELS.highest


@pytest.mark.parametrize(("shift", "mu"), [(FLUX_SHIFT, 1.15), (SCHNELL_SHIFT, 1.0)])
def test_flow_levels_are_shifted_times(shift: float, mu: float) -> None:
    levels = FlowLevels(shift)
    times = np.arange(1, 10_001) / 10_000
    np.testing.assert_allclose(levels.sigmas, math.exp(mu) / (math.exp(mu) + 1 / times - 1), rtol=1e-6)
    assert levels.highest == 1
    assert levels.lowest == pytest.approx(math.exp(mu) / 10_000, rel=1e-3)
    assert (np.diff(levels.sigmas) > 0).all()
    assert levels.flow
    assert not LEVELS.flow


def test_flow_levels_equal_the_shift_of_diffusers() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    theirs.set_timesteps(sigmas=np.linspace(1, 0.05, 20).tolist(), mu=1.15)
    found = FlowLevels(FLUX_SHIFT).at(np.linspace(1, 0.05, 20))
    np.testing.assert_allclose(found, theirs.sigmas[:-1].numpy(), rtol=1e-5)


def test_flow_networks_are_shown_sigma_itself() -> None:
    levels = FlowLevels(FLUX_SHIFT)
    assert levels.timestep(0.3) == 0.3
    assert levels.timestep(0.30001, rounded=True) == 0.30001
    np.testing.assert_allclose(levels.at([0.0, 1.0]), [0, 1])
    assert len(FlowLevels(1.0, 10)) == 10
    np.testing.assert_allclose(FlowLevels(1.0, 10).sigmas, np.arange(1, 11) / 10, rtol=1e-6)
