"""Restart: which way it goes, and that it is Heun's method on the pieces of that way, with noise in between."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sampling_world import Draws, Seer, karras, noisy, still

from modelhub.preview.sampling.restart import way
from modelhub.preview.sampling.samplers import find_sampler


def rises(steps: list[tuple[float, float]], least: float = 0.5) -> list[int]:
    """The steps before which the level rises by much."""
    return [place + 1 for place, (one, two) in enumerate(pairwise(steps)) if two[0] > one[1] + least]


@pytest.mark.parametrize("count", [1, 2, 5, 19])
def test_few_steps_are_heuns(count: int) -> None:
    start = Draws(1)() * 14.6
    restarted, plain = (
        find_sampler(name).sample(Seer(), start, karras(count), still()) for name in ("Restart", "Heun")
    )
    assert torch.equal(restarted, plain)


@pytest.mark.parametrize("count", [20, 21, 35, 36, 40, 150])
def test_the_way_has_as_many_steps_as_asked_for(count: int) -> None:
    steps = way(karras(count), flow=False)
    assert len(steps) == count
    assert steps[0][0] == pytest.approx(14.614642)
    assert steps[-1][1] == 0
    assert all(following < sigma for sigma, following in steps)


@pytest.mark.parametrize(("count", "times", "again"), [(20, 1, 9), (35, 1, 9), (36, 2, 9), (40, 2, 10), (61, 2, 15)])
def test_the_way_between_two_and_a_tenth_is_gone_again(count: int, times: int, again: int) -> None:
    steps = way(karras(count), flow=False)
    tops = rises(steps)
    assert len(tops) == times
    for top in tops:
        piece = [steps[top][0], *(following for _, following in steps[top : top + again])]
        assert piece[0] == min((sigma for sigma, _ in steps[: tops[0]]), key=lambda sigma: abs(sigma - 2))
        assert piece[-1] == pytest.approx(steps[tops[0] - 1][1], rel=1e-5)
        roots = np.array(piece) ** (1 / 7)
        assert np.diff(roots) == pytest.approx((roots[-1] - roots[0]) / again, rel=1e-4)


@pytest.mark.parametrize("count", [20, 40])
def test_it_is_heun_on_every_piece_with_noise_in_between(count: int) -> None:
    steps, heun = way(karras(count), flow=False), find_sampler("Heun")
    start = Draws(1)() * 14.6
    found = find_sampler("Restart").sample(Seer(), start, karras(count), noisy(Draws(2)))

    draws, x, level = Draws(2), start, steps[0][0]
    edges = [0, *rises(steps, 0.0), count]
    for begin, end in pairwise(edges):
        if steps[begin][0] > level:
            x = x + draws() * math.sqrt(steps[begin][0] ** 2 - level**2)
        piece = torch.tensor([steps[begin][0], *(following for _, following in steps[begin:end])])
        x, level = heun.sample(Seer(), x, piece, still()), float(piece[-1])
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-9)


def test_the_end_of_a_schedule_below_the_second_way_is_gone_once() -> None:
    """As when only the last steps of many are taken, from a picture."""
    low = karras(40, high=0.05)
    assert not rises(way(low, flow=False), 0.0)
