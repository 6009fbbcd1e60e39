"""Samplers against the exact solution for Gaussian data, whose ideal denoiser and probability flow have closed forms.

For p0 = N(mu, s^2): D(x, sigma) = (s^2 x + sigma^2 mu) / (s^2 + sigma^2), and the flow from sigma0 to sigma is
x(sigma) = mu + (x(sigma0) - mu) sqrt((s^2 + sigma^2) / (s^2 + sigma0^2)).
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sampling_world import LEVELS, Draws, Seer, karras, noisy, still
from scipy import integrate
from torch import Tensor

from modelhub.preview.sampling.dpm_solver import Step
from modelhub.preview.sampling.lms import weights
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.unipc import orders, solve

MU, S = 0.7, 0.5
START = torch.tensor([10.0, -3.0, 2.0], dtype=torch.float64).reshape(1, 3, 1, 1)


def ideal(x: Tensor, sigma: float) -> Tensor:
    return (S**2 * x + sigma**2 * MU) / (S**2 + sigma**2)


def exact(x: Tensor, start: float, end: float) -> Tensor:
    return MU + (x - MU) * math.sqrt((S**2 + end**2) / (S**2 + start**2))


def geometric(high: float, low: float, steps: int) -> Tensor:
    return torch.logspace(math.log10(high), math.log10(low), steps + 1, dtype=torch.float64)


def error(name: str, steps: int) -> float:
    found = find_sampler(name).sample(Seer(ideal), START, geometric(10, 0.1, steps), noisy(Draws(1), eta=0.0))
    return (found - exact(START, 10, 0.1)).abs().max().item()


def order_of(errors: list[float]) -> float:
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)][-1]


SECOND = ("Heun", "DPM2", "DPM2 a", "DPM++ 2M", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun")


@pytest.mark.parametrize(
    ("name", "order"), [("Euler", 1), ("Euler a", 1), ("DPM++ 3M SDE", 2), *((name, 2) for name in SECOND)]
)
def test_without_noise_the_flow_is_followed_with_the_order_of_the_method(name: str, order: int) -> None:
    errors = [error(name, steps) for steps in (40, 80, 160, 320)]
    assert order_of(errors) == pytest.approx(order, abs=0.15)
    assert errors[-1] < 0.02


def test_lms_converges_faster_than_the_second_order() -> None:
    """Not with its own fourth order: the first step, of first order, leaves an error that only falls with the second."""
    assert order_of([error("LMS", steps) for steps in (40, 80, 160)]) > 2.2


@pytest.mark.parametrize(("name", "part"), [("DPM++ 2M", 3), ("Heun", 8), ("LMS", 8), ("DPM++ 3M SDE", 3)])
def test_higher_orders_are_closer_than_euler_at_few_steps(name: str, part: float) -> None:
    assert error(name, 24) < error("Euler", 24) / part


@pytest.mark.parametrize(
    ("ancestral", "plain"), [("Euler a", "Euler"), ("DPM2 a", "DPM2"), ("DPM++ 2S a", "DPM++ SDE")]
)
def test_with_eta_zero_an_ancestral_sampler_is_its_plain_twin(ancestral: str, plain: str) -> None:
    start, sigmas = Draws(3)() * 14, karras(12)
    run = replace(still(eta=0.0), brownian=lambda lowest, highest: pytest.fail)
    one, other = (find_sampler(name).sample(Seer(), start, sigmas, run) for name in (ancestral, plain))
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["first", "second", "third"])
def test_single_steps_of_dpm_solver_have_their_order(method: str) -> None:
    errors = []
    for steps in (20, 40, 80):
        x, places = START, np.linspace(-math.log(10), -math.log(0.1), steps + 1).tolist()
        for here, following in pairwise(places):
            x = getattr(Step(ideal, x, here), method)(following)
        errors.append((x - exact(START, 10, 0.1)).abs().max().item())
    assert order_of(errors) == pytest.approx(["first", "second", "third"].index(method) + 1, abs=0.2)


def test_a_model_call_that_orders_share_is_made_once() -> None:
    seer = Seer(ideal)
    step = Step(seer, START, 0.0)
    step.second(0.5, 1 / 3), step.third(0.5)
    assert seer.asked == pytest.approx([math.exp(-place) for place in (0, 0.5 / 3, 1 / 3)])


def test_weights_of_lms_integrate_cubics_exactly() -> None:
    places, end = [2.0, 2.9, 3.1, 5.0], 1.2
    for polynomial in (np.poly1d([1.0]), np.poly1d([3, -1, 2, 5]), np.poly1d([1, 0, 0, 0])):
        found = sum(weight * polynomial(place) for weight, place in zip(weights(places, end), places, strict=True))
        integral = np.polyint(polynomial)
        assert found == pytest.approx(integral(end) - integral(places[0]))


@pytest.mark.parametrize("name", ["DPM++ 2M SDE Heun", "DPM++ 3M SDE"])
def test_what_changes_as_a_line_in_log_sigma_is_followed_exactly(name: str) -> None:
    """One more step of many is x' = (s'/s) x + s' (integral of e^l D(l))."""
    see = np.poly1d([-0.7, 0.2])
    sigmas, states = geometric(9, 0.3, 6), []
    for count in (6, 7):
        seer = Seer(lambda x, sigma: torch.full_like(x, see(-math.log(sigma))))
        states.append(find_sampler(name).sample(seer, START, sigmas[:count], noisy(Draws(1), eta=0.0)))
    start, end = sigmas[5].item(), sigmas[6].item()
    grown, _ = integrate.quad(lambda place: math.exp(place) * see(place), -math.log(start), -math.log(end))
    torch.testing.assert_close(states[1], states[0] * (end / start) + end * grown)


@pytest.mark.parametrize(("order", "part"), [(1, 10), (2, 100), (3, 100)])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipc_is_far_closer_than_euler(order: int, part: float, variant: str) -> None:
    way: list[float] = geometric(10, 0.1, 40).tolist()
    plan = orders(order, 40, lower_final=True)
    found = solve(lambda x, place: ideal(x, way[place]), START, way, plan, variant, lambda *_: None)
    assert (found - exact(START, 10, 0.1)).abs().max().item() < error("Euler", 40) / part


@pytest.mark.parametrize("name", ["DDIM", "PLMS", "UniPC"])
def test_samplers_of_timesteps_follow_the_flow(name: str) -> None:
    """Their x is of variance one at both ends."""
    errors = []
    for steps in (20, 100):
        sigmas = torch.from_numpy(LEVELS.sigmas[range(1, 1000, 1000 // steps)][::-1].copy())
        top, last = float(sigmas[0]), float(sigmas[-1])
        if name == "UniPC":
            top, last = LEVELS.highest, LEVELS.lowest
        noise = START / 10
        found = find_sampler(name).sample(Seer(ideal), noise, sigmas, still())
        wanted = exact(noise * math.sqrt(1 + top**2), top, last) / math.sqrt(1 + last**2)
        errors.append((found - wanted).abs().max().item())
    assert errors[1] < errors[0] / 3
    assert errors[1] < (0.03 if name == "DDIM" else 0.005)


@pytest.mark.parametrize("steps", [6, 12, 60])
def test_dpm_fast_follows_the_flow_in_as_many_calls_as_steps(steps: int) -> None:
    seer = Seer(ideal)
    found = find_sampler("DPM fast").sample(seer, START, karras(steps), still(eta=0.0))
    assert len(seer.asked) == steps
    wanted = exact(START, LEVELS.highest, LEVELS.lowest)
    assert (found - wanted).abs().max().item() < {6: 0.5, 12: 0.1, 60: 0.002}[steps]


def test_dpm_adaptive_follows_the_flow_as_near_as_it_is_told() -> None:
    seer = Seer(ideal)
    found = find_sampler("DPM adaptive").sample(seer, START, karras(3), still(eta=0.0))
    assert (found - exact(START, LEVELS.highest, LEVELS.lowest)).abs().max().item() < 0.02
    assert 10 < len(seer.asked) < 200
