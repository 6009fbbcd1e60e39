"""DPM fast and DPM adaptive: between which levels they go, in what steps, and that they come to an end."""

from __future__ import annotations

import math

import pytest
import torch
from sampling_world import LEVELS, Draws, Seer, karras, mixture, noisy, still
from torch import Tensor

from modelhub.preview.sampling.dpm_fast import orders_of
from modelhub.preview.sampling.dpm_solver import lowered, span
from modelhub.preview.sampling.samplers import find_sampler

SGM = torch.tensor([14.614642143249512, 4.0, 1.0, 0.4, 0.0])


@pytest.mark.parametrize("calls", range(1, 31))
def test_orders_add_up_to_the_calls_and_end_low(calls: int) -> None:
    orders = orders_of(calls)
    assert sum(orders) == calls
    assert len(orders) == calls // 3 + 1
    assert orders[-1] < 3
    assert orders[:-2] == [3] * max(0, len(orders) - 2)


@pytest.mark.parametrize(
    ("sigmas", "start", "end"),
    [
        (SGM, LEVELS.highest, LEVELS.lowest),
        (karras(5), LEVELS.highest, LEVELS.lowest),
        (SGM[1:], 4.0, 0.4),
        (torch.tensor([4.0, 0.0]), 4.0, LEVELS.lowest),
    ],
)
def test_from_the_top_the_whole_model_and_from_a_picture_on_what_is_left(
    sigmas: Tensor, start: float, end: float
) -> None:
    assert [math.exp(-place) for place in span(sigmas, still())] == pytest.approx([start, end])
    for name in ("DPM fast", "DPM adaptive"):
        seer = Seer()
        find_sampler(name).sample(seer, Draws(1)(), sigmas, noisy(Draws(2)))
        assert seer.asked[0] == pytest.approx(start)
        assert min(seer.asked) >= end * (1 - 1e-9)


@pytest.mark.parametrize("name", ["DPM fast", "DPM adaptive"])
def test_from_below_the_lowest_level_they_go_nowhere(name: str) -> None:
    """As with a lowest sigma of one's own and a low denoising strength; never up."""
    sigmas, start = torch.tensor([0.015625, 0.0]), Draws(1)()
    here, stop = span(sigmas, still())
    assert here == stop
    torch.testing.assert_close(find_sampler(name).sample(Seer(), start, sigmas, noisy(Draws(2))), start)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0, 3.0])
def test_steps_down_and_noise_up_make_the_level_and_never_pass_the_end(eta: float) -> None:
    for here, following in ((-2.6, -2.0), (-1.0, 1.0), (2.0, 3.5)):
        down, scale, up = lowered(here, following, 3.5, eta, flow=False)
        assert following <= down <= 3.5
        assert scale == 1
        assert math.hypot(math.exp(-down), up) == pytest.approx(math.exp(-following))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0, 3.0])
def test_in_a_flow_they_make_the_signal_of_the_level_too(eta: float) -> None:
    for here, following in ((0.0, 0.2), (0.1, 1.0), (2.0, 3.5)):
        place, scale, up = lowered(here, following, 3.5, eta, flow=True)
        down, level = math.exp(-place), math.exp(-following)
        assert following <= place <= 3.5
        assert scale * (1 - down) == pytest.approx(1 - level)
        assert math.hypot(scale * down, up) == pytest.approx(level)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_broken_models_come_to_an_end(eta: float) -> None:
    """One that says NaN at some point; one so jagged that no step is ever short enough."""

    def dying(x: Tensor, sigma: float) -> Tensor:
        return mixture(x, sigma) * (math.nan if sigma < 5 else 1)

    def jagged(x: Tensor, sigma: float) -> Tensor:
        return 100 * torch.sin(1e9 * x)

    for see, most in ((dying, 100), (jagged, 3 * 6300)):
        seer = Seer(see)
        find_sampler("DPM adaptive").sample(seer, Draws(1)() * 14.6, karras(5), noisy(Draws(2), eta=eta))
        assert len(seer.asked) < most


def test_the_steps_of_the_adaptive_solver_follow_the_picture_not_the_number_of_steps() -> None:
    few, many, hard = Seer(), Seer(), Seer(lambda x, sigma: 3 * mixture(4 * x, sigma))
    for seer, steps in ((few, 3), (many, 90), (hard, 3)):
        find_sampler("DPM adaptive").sample(seer, Draws(1)() * 14.6, karras(steps), still(eta=0.0))
    assert few.asked == many.asked
    assert len(hard.asked) > len(few.asked)
