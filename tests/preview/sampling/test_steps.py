"""What steps have in common: ancestral levels of both kinds of model, and churn."""

from __future__ import annotations

import math

import pytest
import torch
from sampling_world import Draws, Seer, karras, noisy, still

from modelhub.preview.sampling.levels import FlowLevels
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.steps import ancestral, churned, lifted

FLOW = FlowLevels(1.15)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 2.0])
def test_down_and_up_make_the_level_asked_for(eta: float) -> None:
    for sigma, following in ((14.6, 9.2), (1.0, 0.999), (0.05, 0.03), (3.0, 0.0), (2.0, 2.0)):
        down, scale, up = ancestral(sigma, following, eta, flow=False)
        assert scale == 1
        assert math.hypot(down, up) == pytest.approx(following)
        assert 0 <= up <= following


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 5.0])
def test_in_a_flow_down_scale_and_up_make_signal_and_noise_of_the_level(eta: float) -> None:
    for sigma, following in ((1.0, 0.9), (0.5, 0.49), (0.05, 0.01), (0.9, 0.2)):
        down, scale, up = ancestral(sigma, following, eta, flow=True)
        assert scale * (1 - down) == pytest.approx(1 - following)
        assert math.hypot(scale * down, up) == pytest.approx(following)
        assert (up > 1e-9) == (eta > 0)
    assert ancestral(0.5, 0.0, eta, flow=True) == (0, 1, 0)


def test_churn_draws_in_every_step_and_adds_within_its_range() -> None:
    x, draws = torch.zeros(2, 4, 3, 3, dtype=torch.float64), Draws(2)
    run = noisy(draws, churn=4.0, churn_min=0.1, churn_max=5.0, noise=1.1)
    outside, same = churned(x, 9.0, 10, run)
    assert (same, draws.count) == (9.0, 1)
    assert outside is x
    noise, raised = churned(x, 3.0, 10, run)
    assert raised == pytest.approx(3.0 * 1.4)
    second = Draws(2)
    second()
    torch.testing.assert_close(noise, second() * 1.1 * math.sqrt(raised**2 - 9))


def test_churn_raises_a_level_by_the_root_of_two_at_most() -> None:
    _, raised = churned(torch.zeros(2, 4, 3, 3), 1.0, 2, noisy(Draws(1), churn=100.0))
    assert raised == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_without_churn_nothing_is_drawn(name: str) -> None:
    find_sampler(name).sample(Seer(), Draws(1)() * 14.6, karras(6), still())


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 0.99, 1.0])
def test_in_a_flow_churn_raises_noise_against_picture_by_its_factor(sigma: float) -> None:
    x = torch.full((2, 4, 3, 3), 1 - sigma, dtype=torch.float64)
    noise, raised = churned(x, sigma, 10, noisy(Draws(2), FLOW, churn=3.0))
    assert raised == pytest.approx(1 / (1 + (1 - sigma) / (1.3 * sigma)))
    scale = 1 / (1 + 0.3 * sigma)
    torch.testing.assert_close(noise - x * scale, Draws(2)() * math.sqrt(raised**2 - (scale * sigma) ** 2))
    if sigma < 1:
        assert lifted(sigma, raised, flow=True)[0] == pytest.approx(scale)


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a"])
def test_more_noise_than_there_is_room_for_begins_every_step_anew(name: str) -> None:
    """With a huge eta a step goes all the way down and takes the whole level as fresh noise."""
    seer, sampler, draws = Seer(), find_sampler(name), Draws(2)
    found = sampler.sample(seer, Draws(1)() * 14.6, karras(6), noisy(draws, eta=50.0))
    assert found.isfinite().all()
    assert draws.count == 5
    assert found.abs().max().item() < 2
