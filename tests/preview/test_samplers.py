"""Samplers against the exact solution for Gaussian data, whose ideal denoiser and probability flow have closed forms.

For p0 = N(mu, s^2): D(x, sigma) = (s^2 x + sigma^2 mu) / (s^2 + sigma^2), and the flow from sigma0 to sigma is
x(sigma) = mu + (x(sigma0) - mu) sqrt((s^2 + sigma^2) / (s^2 + sigma0^2)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from modelhub.errors import NotFoundError
from modelhub.preview.noise_levels import scaled_linear
from modelhub.preview.samplers import ancestral, euler, euler_ancestral, find_sampler, sampler_names
from modelhub.preview.schedules import sigmas

MU, S = 0.7, 0.5
Sample = Callable[..., Tensor]


def ideal(x: Tensor, sigma: float) -> Tensor:
    return (S**2 * x + sigma**2 * MU) / (S**2 + sigma**2)


def exact(x: Tensor, start: float, end: float) -> Tensor:
    return MU + (x - MU) * math.sqrt((S**2 + end**2) / (S**2 + start**2))


def no_noise() -> Tensor:
    raise AssertionError("a deterministic sampler drew noise")


def quiet(index: int, clean: Tensor) -> None:
    pass


def geometric(high: float, low: float, steps: int) -> Tensor:
    return torch.logspace(math.log10(high), math.log10(low), steps + 1, dtype=torch.float64)


def error(sample: Sample, steps: int) -> float:
    x = torch.tensor([10.0, -3.0, 2.0], dtype=torch.float64)
    levels = geometric(10, 0.1, steps)
    found = sample(ideal, x, levels, noise=no_noise, step=quiet)
    return (found - exact(x, 10, 0.1)).abs().max().item()


@pytest.mark.parametrize(("name", "order"), [("Euler", 1), ("DPM++ 2M", 2)])
def test_order_of_convergence(name: str, order: int) -> None:
    sample = find_sampler(name).sample
    errors = [error(sample, steps) for steps in (40, 80, 160, 320)]
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders[-1] == pytest.approx(order, abs=0.1)
    assert errors[-1] < 0.02


def test_dpmpp_2m_is_closer_than_euler_at_few_steps() -> None:
    assert error(find_sampler("DPM++ 2M").sample, 12) < error(euler, 12) / 3


@pytest.mark.parametrize("name", sampler_names())
def test_one_step_to_zero_is_what_the_denoiser_sees(name: str) -> None:
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    found = find_sampler(name).sample(ideal, x, torch.tensor([8.0, 0.0]), noise=no_noise, step=quiet)
    torch.testing.assert_close(found, ideal(x, 8.0))


@pytest.mark.parametrize("name", sampler_names())
@pytest.mark.parametrize("schedule", ["Karras", "Uniform"])
def test_pictures_of_many_seeds_have_the_mean_and_spread_of_the_data(name: str, schedule: str) -> None:
    generator = torch.Generator().manual_seed(5)

    def draw() -> Tensor:
        return torch.randn(30_000, generator=generator, dtype=torch.float64)

    sampler = find_sampler(name)
    levels = sigmas(schedule, sampler, 60, scaled_linear())
    found = sampler.sample(ideal, draw() * levels[0], levels, noise=draw, step=quiet)
    assert found.mean().item() == pytest.approx(MU, abs=0.06)
    assert found.std().item() == pytest.approx(S, rel=0.1)


def test_euler_a_forgets_its_start_and_euler_does_not() -> None:
    levels = sigmas("Karras", find_sampler("Euler"), 40, scaled_linear())
    start = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * levels[0]
    generator = torch.Generator().manual_seed(1)
    draw = partial(torch.randn, 5000, generator=generator)
    wandering = euler_ancestral(ideal, start, levels, noise=draw, step=quiet)
    straight = euler(ideal, start, levels, noise=no_noise, step=quiet)
    assert torch.corrcoef(torch.stack((start, straight)))[0, 1].item() > 0.99
    assert abs(torch.corrcoef(torch.stack((start, wandering)))[0, 1].item()) < 0.5


def test_euler_a_with_eta_zero_is_euler() -> None:
    x = torch.randn(3, 4, 2, 2, dtype=torch.float64) * 14
    levels = sigmas("Karras", find_sampler("Euler"), 12, scaled_linear())
    straight = euler(ideal, x, levels, noise=no_noise, step=quiet)
    torch.testing.assert_close(euler_ancestral(ideal, x, levels, noise=no_noise, step=quiet, eta=0.0), straight)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 2.0])
def test_down_and_up_make_the_level_asked_for(eta: float) -> None:
    for sigma, following in ((14.6, 9.2), (1.0, 0.999), (0.05, 0.03), (3.0, 0.0)):
        down, up = ancestral(sigma, following, eta)
        assert math.hypot(down, up) == pytest.approx(following)
        assert 0 <= up <= following


def test_every_step_is_reported_once_with_what_is_seen() -> None:
    levels = geometric(5, 0.1, 7)
    x = torch.ones(1, 4, 2, 2, dtype=torch.float64)
    for name in sampler_names():
        seen: list[tuple[int, Tensor]] = []
        find_sampler(name).sample(
            ideal, x, levels, noise=lambda: torch.zeros_like(x), step=lambda i, clean, to=seen: to.append((i, clean))
        )
        assert [index for index, _ in seen] == list(range(7))
        torch.testing.assert_close(seen[0][1], ideal(x, 5.0))


@pytest.mark.parametrize("name", ["DPM++ 2M", "dpm++ 2m", "DPM++2M", " dpm++_2m"])
def test_names_forgive_case_and_spaces(name: str) -> None:
    assert find_sampler(name).name == "DPM++ 2M"


def test_an_unknown_sampler_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_sampler("Eulr\x1b[31m\n")
    assert caught.value.message == r"There is no sampler 'Eulr\x1b[31m\x0a'."
    assert all(name in caught.value.hint for name in sampler_names())
