"""DDIM, CFG++, PLMS, UniPC and LCM: their levels and their scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampling_world import LEVELS, Draws, Seer, noisy, still

from modelhub.errors import UsageError
from modelhub.preview.sampling.lcm import boundary, nearest
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import img2img_sigmas, plan_sigmas
from modelhub.preview.sampling.unipc import between, orders, places
from modelhub.preview.sampling.unipc_weights import weights


def told(seer: Seer) -> list[float]:
    return [LEVELS.timestep(sigma) for sigma in seer.asked]


@pytest.mark.parametrize("name", ["DDIM", "DDIM CFG++", "PLMS"])
@pytest.mark.parametrize(("steps", "calls"), [(20, 19), (12, 12), (30, 30)])
def test_the_network_sees_the_timesteps_of_a1111(name: str, steps: int, calls: int) -> None:
    seer = Seer()
    sigmas = plan_sigmas("Automatic", find_sampler(name), steps, LEVELS)
    find_sampler(name).sample(seer, Draws(1)(), sigmas, still())
    wanted = list(range(1, 1000, 1000 // steps))[:0:-1]
    if name == "PLMS":
        wanted.insert(1, wanted[1])
        calls += 1
    assert told(seer) == pytest.approx(wanted, abs=1e-3)
    assert len(seer.asked) == calls


@pytest.mark.parametrize(("steps", "count"), [(20, 20), (12, 13), (3, 4)])
def test_unipc_goes_evenly_from_the_last_timestep_whatever_the_grid(steps: int, count: int) -> None:
    seer, unipc = Seer(), find_sampler("UniPC")
    unipc.sample(seer, Draws(1)(), plan_sigmas("Karras", unipc, steps, LEVELS), still())
    assert told(seer) == pytest.approx(np.linspace(999, 0, count + 1)[:-1].tolist(), abs=1e-3)


@pytest.mark.parametrize(("steps", "denoise", "exact"), [(20, 0.5, False), (12, 0.75, False), (10, 0.3, True)])
def test_unipc_on_a_picture_goes_from_the_first_timestep_of_the_rest(steps: int, denoise: float, exact: bool) -> None:
    seer, unipc = Seer(), find_sampler("UniPC")
    rest = img2img_sigmas("Automatic", unipc, steps, LEVELS, denoise, exact=exact).sigmas
    unipc.sample(seer, Draws(1)(), rest, still())
    first = round(LEVELS.timestep(float(rest[0])))
    assert first < 999
    assert told(seer) == pytest.approx(np.linspace(first, 0, len(rest) + 1)[:-1].tolist(), abs=1e-3)


def test_the_skips_of_unipc_are_even_in_time_in_its_root_and_in_log_sigma() -> None:
    assert places(999, 4, LEVELS, "time_uniform") == pytest.approx([999, 749.25, 499.5, 249.75, 0])
    roots = np.sqrt(places(999, 5, LEVELS, "time_quadratic") + 1)
    assert np.diff(roots) == pytest.approx(np.full(5, (1 - math.sqrt(1000)) / 5))
    logs = np.log(between(places(999, 5, LEVELS, "logSNR"), LEVELS))
    assert np.diff(logs) == pytest.approx(np.full(5, math.log(LEVELS.lowest / LEVELS.highest) / 5), rel=1e-6)


def test_between_timesteps_unipc_interpolates_the_log_of_the_signal() -> None:
    assert between(np.array([0.0, 3, 999]), LEVELS) == pytest.approx(LEVELS.sigmas[[0, 3, 999]])
    low, high, middle = (
        1 / math.sqrt(1 + sigma**2) for sigma in (*LEVELS.sigmas[:2], between(np.array([0.5]), LEVELS)[0])
    )
    assert middle == pytest.approx(math.sqrt(low * high))


@pytest.mark.parametrize(
    ("order", "steps", "lower", "wanted"),
    [
        (3, 6, True, [1, 2, 3, 3, 2, 1]),
        (3, 6, False, [1, 2, 3, 3, 3, 3]),
        (3, 3, True, [1, 2, 1]),
        (3, 2, True, [1, 1]),
        (1, 3, True, [1, 1, 1]),
        (9, 1, False, [1]),
    ],
)
def test_orders_of_unipc(order: int, steps: int, lower: bool, wanted: list[int]) -> None:
    assert orders(order, steps, lower) == wanted


def test_varying_coefficients_follow_a_parabola_in_log_sigma_exactly() -> None:
    """The predictor of order 3; the integral of e^l D(l) has a closed form."""
    line = [-1.0, -1.4, -1.55, -2.1]  # log sigmas, so l = 1, 1.4, 1.55 and 2.1
    see = np.poly1d([0.4, -1.0, 0.3])
    known = weights("vary_coeff", line)
    looks = [see(-place) for place in reversed(line[:-1])]
    step = math.exp(line[-1] - line[-2])
    found = step * 5.0 + (1 - step) * looks[0]
    found -= sum(
        weight * (look - looks[0]) / part
        for weight, look, part in zip(known.predictor, looks[1:], known.parts, strict=True)
    )
    grown = np.poly1d([0.4, -1.8, 2.1])  # D - D' + D''
    wanted = step * 5.0 + grown(2.1) - step * grown(1.55)
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("order", "picture", "rest"),
    [
        (2, [1.117109116, 0.547249954, 0.766426555], [0.986370517, 0.222725609, 0.516435189]),
        (3, [1.114256345, 0.548291929, 0.765970550], [0.985873268, 0.223552882, 0.516753031]),
    ],
)
def test_varying_coefficients_as_the_authors_wrote_them(order: int, picture: list[float], rest: list[float]) -> None:
    """Recorded with a transcription of uni_pc.py: 12 steps from noise, 5 steps from timestep 333."""

    def ideal(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return (0.25 * x + sigma**2 * 0.7) / (0.25 + sigma**2)

    unipc, run = find_sampler("UniPC"), still(variant="vary_coeff", order=order)
    start = torch.tensor([1.0, -0.3, 0.2], dtype=torch.float64).reshape(1, 3, 1, 1)
    grid = torch.from_numpy(LEVELS.at(np.arange(1, 1000, 83)[::-1].copy()))
    for sigmas, wanted in ((grid[:12], picture), (grid[-5:], rest)):
        found = unipc.sample(Seer(ideal), start, sigmas, run)
        assert found.flatten().tolist() == pytest.approx(wanted, abs=1e-6)


def test_cfgpp_puts_back_the_noise_of_the_negative_prompt() -> None:
    """A denoiser whose negative prompt sees a picture that is brighter by 0.1; one step by hand."""
    sigmas = torch.tensor([8.0, 3.0], dtype=torch.float64)
    x = Draws(1)()
    found = find_sampler("DDIM CFG++").sample(Seer(bias=0.1), x, sigmas, still())
    noisy_x = x * math.sqrt(65)
    clean = Seer()(noisy_x, 8.0)
    noise = (noisy_x - clean - 0.1) / 8
    torch.testing.assert_close(found, (clean + 3 * noise) / math.sqrt(10))
    plain = find_sampler("DDIM").sample(Seer(bias=0.1), x, sigmas, still())
    torch.testing.assert_close(found, plain - 3 * 0.1 / 8 / math.sqrt(10))


def test_lcm_knows_every_twentieth_timestep() -> None:
    assert nearest(LEVELS, LEVELS.highest) == 999
    assert nearest(LEVELS, LEVELS.lowest) == 19
    assert nearest(LEVELS, float(LEVELS.at(505))) == 499
    assert nearest(LEVELS, float(LEVELS.at(512))) == 519


def test_the_boundary_of_lcm_is_x_itself_at_timestep_0_and_what_is_seen_far_from_it() -> None:
    assert boundary(0) == (1, 0)
    skip, out = boundary(19)
    assert skip == pytest.approx(0.25 / (190**2 + 0.25))
    assert out == pytest.approx(1, abs=1e-5)


def test_lcm_jumps_to_what_is_seen_and_adds_noise_of_the_next_level() -> None:
    picture, draws = torch.full((2, 4, 3, 3), 0.25, dtype=torch.float64), Draws(2)
    x = Draws(1)() * 14.6
    cut = torch.tensor([*LEVELS.at([999, 499]), 0.0])[:2]
    found = find_sampler("LCM").sample(Seer(lambda *_: picture), x, cut, noisy(draws))
    torch.testing.assert_close(found, picture + float(cut[1]) * Draws(2)(), rtol=1e-4, atol=1e-4)


def test_unknown_ways_of_unipc_are_named_with_those_that_exist() -> None:
    sigmas = plan_sigmas("Automatic", find_sampler("UniPC"), 8, LEVELS)
    for tuning, word in (({"variant": "bh3"}, "variant 'bh3'"), ({"skip": "time"}, "skip type 'time'")):
        with pytest.raises(UsageError, match=word) as caught:
            find_sampler("UniPC").sample(Seer(), Draws(1)(), sigmas, still(**tuning))
        assert "bh2" in caught.value.hint or "logSNR" in caught.value.hint
