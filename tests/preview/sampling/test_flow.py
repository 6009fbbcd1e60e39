"""Samplers in flow models, x = (1 - sigma) clean + sigma noise, against exact marginals and the exact solution.

For clean of N(MU, S^2) the marginal is N((1 - sigma) MU, (1 - sigma)^2 S^2 + sigma^2), what is seen in x has a closed
form, and without noise x stays at the same place in the marginal, counted in standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from sampling_world import Draws, Seer, karras, no_path, noisy, quiet, still
from torch import Tensor

from modelhub.preview.noise.noise import Noise
from modelhub.preview.sampling.levels import FLUX_SHIFT, FlowLevels
from modelhub.preview.sampling.names import SAMPLER_NAMES
from modelhub.preview.sampling.sampler import Run
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import img2img_sigmas, plan_sigmas
from modelhub.preview.sampling.tuning import Tuning

FLOW = FlowLevels(FLUX_SHIFT)
MU, S = 0.7, 0.5
ALL = [name for name in SAMPLER_NAMES if find_sampler(name).flow and name != "LCM"]
#: These go to the lowest level of the model, and not to 0.
TO_LOWEST = ("DPM fast", "DPM adaptive")
CHURN = Tuning(churn=6.0)


def spread(sigma: float, own: float = S) -> float:
    """The standard deviation of the marginal of clean with the standard deviation `own`."""
    return math.hypot((1 - sigma) * own, sigma)


def seen(x: Tensor, sigma: float) -> Tensor:
    """The mean of clean given x, for clean of N(MU, S^2)."""
    kept = 1 - sigma
    return MU + kept * (S / spread(sigma)) ** 2 * (x - kept * MU)


class Watcher(Seer):
    """A denoiser that also keeps the mean and the standard deviation of what it was shown."""

    def __init__(self, see: Callable[[Tensor, float], Tensor]) -> None:
        super().__init__(see)
        self.shown: list[tuple[float, float]] = []

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.shown.append((x.mean().item(), x.std().item()))
        return super().__call__(x, sigma)


def made(name: str, sigmas: Tensor, see: Callable[[Tensor, float], Tensor], tuning: Tuning) -> tuple[Tensor, Watcher]:
    """20,000 values from noise."""
    watcher, noise = Watcher(see), Noise([5], (1, 100, 200), dtype=torch.float64, source="CPU")
    run = Run(noise.next, noise.brownian, quiet, FLOW, tuning)
    return find_sampler(name).sample(watcher, noise.initial(), sigmas, run), watcher


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("tuning", [Tuning(), Tuning(eta=0.4), CHURN], ids=["usual", "eta", "churn"])
@pytest.mark.parametrize("steps", [2, 5, 24])
def test_a_single_picture_has_the_noise_of_the_level_whenever_it_is_looked_at(
    name: str, steps: int, tuning: Tuning
) -> None:
    """Steps of any length are exact for it, so that only a wrong amount of noise could be off."""
    sigmas = plan_sigmas("Simple", find_sampler(name), steps, FLOW, tuning)
    found, watcher = made(name, sigmas, lambda x, sigma: torch.full_like(x, MU), tuning)
    for sigma, (mean, std) in zip(watcher.asked, watcher.shown, strict=True):
        assert mean == pytest.approx((1 - sigma) * MU, abs=0.03 * sigma)
        assert std == pytest.approx(sigma, rel=0.02)
    assert (found - MU).abs().max().item() < (0.005 if name in TO_LOWEST else 1e-9)


@pytest.mark.parametrize(
    ("name", "tuning"), [*((name, Tuning()) for name in ALL), *((name, CHURN) for name in ("Euler", "Heun", "DPM2"))]
)
def test_in_many_steps_pictures_have_the_mean_and_spread_of_the_data_and_of_the_middle(
    name: str, tuning: Tuning
) -> None:
    sigmas = plan_sigmas("Karras", find_sampler(name), 200, FLOW, tuning)
    found, watcher = made(name, sigmas, seen, tuning)
    assert found.mean().item() == pytest.approx(MU, abs=0.015)
    assert found.std().item() == pytest.approx(S, rel=0.03)
    for wanted in (0.8, 0.5, 0.2):
        at = min(range(len(watcher.asked)), key=lambda place: abs(watcher.asked[place] - wanted))
        sigma, (mean, std) = watcher.asked[at], watcher.shown[at]
        assert mean == pytest.approx((1 - sigma) * MU, abs=0.02)
        assert std == pytest.approx(spread(sigma), rel=0.02)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("DPM adaptive", "Restart")])
def test_without_noise_the_flow_is_followed_with_the_order_of_the_method(name: str) -> None:
    """From noise alone, where l is infinite, to the last level above 0 of a coarse model."""
    levels = FlowLevels(1.0, 10)
    start = torch.tensor([2.0, -1.0, 0.3], dtype=torch.float64).reshape(1, 3, 1, 1)
    wanted, errors = (1 - levels.lowest) * MU + start * spread(levels.lowest), []
    for steps in (24, 48, 96):
        sigmas = torch.linspace(1, levels.lowest, steps + 1, dtype=torch.float64)
        sigmas = torch.cat((sigmas, torch.zeros(1))) if name == "DPM fast" else sigmas
        found = find_sampler(name).sample(Seer(seen), start, sigmas, noisy(Draws(1), levels, eta=0.0))
        errors.append((found - wanted).abs().max().item())
    order = 1 if name in ("Euler", "Euler a") else 2
    assert math.log2(errors[0] / errors[-1]) / 2 > order - 0.3
    assert errors[-1] < (0.02 if order == 1 else 1e-3)


def test_without_noise_the_adaptive_solver_follows_the_flow_too() -> None:
    start = torch.tensor([2.0, -1.0, 0.3], dtype=torch.float64).reshape(1, 3, 1, 1)
    found = find_sampler("DPM adaptive").sample(Seer(seen), start, karras(3, high=1.0), still(FLOW, eta=0.0))
    torch.testing.assert_close(found, MU + start * S, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("ancestral", "plain"), [("Euler a", "Euler"), ("DPM2 a", "DPM2"), ("DPM++ 2S a", "DPM++ SDE")]
)
def test_in_a_flow_too_eta_zero_is_the_plain_twin(ancestral: str, plain: str) -> None:
    start, sigmas = Draws(3)(), plan_sigmas("Simple", find_sampler("Euler"), 12, FLOW)
    run = Run(Draws(1), lambda *ends: no_path, quiet, FLOW, Tuning(eta=0.0))  # type: ignore[arg-type]
    one, other = (find_sampler(name).sample(Seer(seen), start, sigmas, run) for name in (ancestral, plain))
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_from_a_picture_the_noise_is_that_of_the_rest_of_the_way(name: str) -> None:
    sampler = find_sampler(name)
    way = img2img_sigmas("Simple", sampler, 12, FLOW, 0.6)
    noise = Noise([5], (1, 100, 200), dtype=torch.float64, source="CPU")
    start = way.start * noise.initial() + (1 - way.start) * MU
    watcher = Watcher(lambda x, sigma: torch.full_like(x, MU))
    run = Run(noise.next, lambda *_: noise.brownian(way.lowest, way.highest), quiet, FLOW)
    sampler.sample(watcher, start, way.sigmas, run)
    assert watcher.asked[0] == pytest.approx(way.start)
    assert way.start < 1
    for sigma, (mean, std) in zip(watcher.asked, watcher.shown, strict=True):
        assert mean == pytest.approx((1 - sigma) * MU, abs=0.03 * sigma)
        assert std == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("name", [*ALL, "LCM"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_of_half_precision_are_finite_and_keep_it(name: str, steps: int) -> None:
    sampler = find_sampler(name)
    sigmas, draws = plan_sigmas("Simple", sampler, steps, FLOW), Draws(2, dtype=torch.bfloat16)
    found = sampler.sample(Seer(seen), Draws(1, dtype=torch.bfloat16)(), sigmas, noisy(draws, FLOW))
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()


def test_lcm_mixes_what_is_seen_with_noise_of_the_next_level() -> None:
    start, sigmas, seer = Draws(1)(), torch.tensor([1.0, 0.75, 0.0], dtype=torch.float64), Seer(seen)
    found = find_sampler("LCM").sample(seer, start, sigmas, noisy(Draws(2), FLOW))
    assert seer.asked == [1, 0.75]
    torch.testing.assert_close(found, seen(0.25 * seen(start, 1.0) + 0.75 * Draws(2)(), 0.75))


@pytest.mark.parametrize("name", [*ALL, "LCM"])
def test_a_second_level_of_nearly_one_is_no_trouble(name: str) -> None:
    """As Beta has it with `beta_beta` 0.17: the middle of the first step rounds to 1."""
    sigmas = torch.tensor([1.0, 0.99999994, 0.5, 0.0])
    found = find_sampler(name).sample(Seer(seen), Draws(1, dtype=torch.float32)(), sigmas, noisy(Draws(2), FLOW))
    assert found.isfinite().all()
