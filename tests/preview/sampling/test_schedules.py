"""Schedules against k-diffusion, diffusers, scipy and closed forms, and the rules that all of them share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from modelhub.errors import IncompatibleError, NotFoundError, UsageError
from modelhub.preview.sampling.levels import FLUX_SHIFT, FlowLevels, scaled_linear, zero_terminal
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import img2img_sigmas, plan_sigmas, resolve
from modelhub.preview.sampling.tuning import Tuning

LEVELS = scaled_linear()
LOW, HIGH = LEVELS.lowest, LEVELS.highest
FLOW = FlowLevels(FLUX_SHIFT)
EULER = find_sampler("Euler")
REAL = [name for name in SCHEDULE_NAMES if name != "Automatic"]
#: Those that have as many steps as are asked for, and end at 0.
PLAIN = [name for name in REAL if name not in ("DDIM", "KL Optimal")]
RECORDED = json.loads((Path(__file__).parents[2] / "data" / "schedules" / "k_diffusion.json").read_text())


def plan(name: str, steps: int, sampler: str = "Euler", **tuning: float) -> torch.Tensor:
    return plan_sigmas(name, find_sampler(sampler), steps, LEVELS, Tuning(**tuning))  # type: ignore[arg-type]


def close(found: torch.Tensor, expected: object, **limits: float) -> None:
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), **{"rtol": 3e-6, "atol": 0, **limits})


def test_names_are_those_of_a1111() -> None:
    assert (
        *("Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal"),
        *("Align Your Steps", "Simple", "Normal", "DDIM", "Beta"),
    ) == SCHEDULE_NAMES
    assert [resolve(name, EULER) for name in REAL] == REAL


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 150])
def test_every_schedule_falls_from_the_highest_level_to_zero(name: str, steps: int) -> None:
    found = plan(name, steps)
    assert found.shape == (steps + 1,)
    assert found.dtype == torch.float32
    assert found[0].item() == pytest.approx(HIGH, rel=3e-5)
    assert found[-1].item() == 0
    assert (found.diff() < 0).all()


@pytest.mark.parametrize("name", [name for name in REAL if name != "Align Your Steps"])
@pytest.mark.parametrize("levels", [FLOW, zero_terminal(LEVELS)], ids=["flow", "zero SNR"])
def test_every_schedule_falls_over_other_levels(name: str, levels: FlowLevels) -> None:
    for steps in (1, 4, 20):
        found = plan_sigmas(name, EULER, steps, levels)
        assert (found.diff() < 0).all()
        assert found[0].item() <= levels.highest * (1 + 1e-5)
        assert found[-1].item() == pytest.approx(levels.lowest if name == "KL Optimal" else 0, rel=1e-3)


@pytest.mark.parametrize(("name", "steps", "settings", "expected"), RECORDED["schedules"])
def test_equals_k_diffusion(name: str, steps: int, settings: dict[str, float], expected: list[str]) -> None:
    close(plan(name, steps, **settings), [float.fromhex(sigma) for sigma in expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "option"),
    [("Karras", "use_karras_sigmas"), ("Exponential", "use_exponential_sigmas"), ("Beta", "use_beta_sigmas")],
)
def test_equals_diffusers(name: str, option: str) -> None:
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", **{option: True}
    )
    theirs.set_timesteps(20)
    close(plan(name, 20), theirs.sigmas.numpy(), rtol=2e-4)


def test_uniform_and_normal_steps_are_even_in_timesteps() -> None:
    for name in ("Uniform", "Normal"):
        found = plan(name, 4)
        assert [round(LEVELS.timestep(sigma), 3) for sigma in found[:-1].tolist()] == [999, 666, 333, 0]


def test_sgm_uniform_leaves_out_the_last_timestep() -> None:
    assert torch.equal(plan("SGM Uniform", 6)[:-1], plan("Normal", 7)[:-2])


def test_polyexponential_is_exponential_unless_rho_says_otherwise() -> None:
    close(plan("Polyexponential", 9), plan("Exponential", 9).numpy())
    bent = plan("Polyexponential", 9, rho=2.0)[:-1].double().log()
    part = (bent - np.log(LOW)) / (np.log(HIGH) - np.log(LOW))
    close(part, np.linspace(1, 0, 9) ** 2, atol=1e-6)


def test_kl_optimal_is_even_in_the_angle_and_ends_above_zero() -> None:
    found = plan("KL Optimal", 6)
    close(found, np.tan(np.linspace(np.arctan(HIGH), np.arctan(LOW), 7)), rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("sd1", "StableDiffusion"),
        ("sd2", "StableDiffusion"),
        ("sdxl", "StableDiffusionXL"),
        ("other", "StableDiffusion"),
    ],
)
def test_align_your_steps_has_the_published_levels(family: str, name: str) -> None:
    from diffusers.schedulers.scheduling_utils import AysSchedules

    published = AysSchedules[f"{name}Sigmas"]
    table = [*published[:-1], 0.029, 0.0]
    close(plan_sigmas("Align Your Steps", EULER, 11, LEVELS, family=family), table)
    every_other = plan_sigmas("Align Your Steps", EULER, 6, LEVELS, family=family)
    close(every_other, [*table[:-1:2], 0.0])
    fine = plan_sigmas("Align Your Steps", EULER, 21, LEVELS, family=family).double()
    close(fine[1:-1:2], (fine[0:-2:2] * fine[2::2][:10]).sqrt().numpy())


@pytest.mark.parametrize("steps", [1, 7, 20, 33, 1000])
def test_simple_takes_every_so_manyth_level(steps: int) -> None:
    places = [999 - int(index * 1000 / steps) for index in range(steps)]
    close(plan("Simple", steps), [*LEVELS.sigmas[places], 0.0])


@pytest.mark.parametrize(("steps", "entries"), [(1, 1), (7, 8), (12, 13), (20, 20), (30, 31), (33, 34), (999, 999)])
def test_ddim_may_have_more_steps_than_asked_for(steps: int, entries: int) -> None:
    found = plan("DDIM", steps)
    assert len(found) == entries + 1
    if steps > 1:
        close(found[-3:], [*LEVELS.sigmas[[1 + 1000 // steps, 1]], 0.0])


def test_beta_takes_quantiles() -> None:
    for alpha, beta in ((0.6, 0.6), (0.5, 1.5)):
        parts = stats.beta.ppf(1 - np.linspace(0, 1, 15), alpha, beta)
        close(plan("Beta", 15, beta_alpha=alpha, beta_beta=beta), [*(LOW + parts * (HIGH - LOW)), 0.0])


HEEDED = ["Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Normal", "Beta"]


@pytest.mark.parametrize("name", REAL)
def test_a_range_is_heeded_where_a1111_heeds_it(name: str) -> None:
    plain, narrow = plan(name, 9), plan(name, 9, sigma_min=0.1, sigma_max=10.0)
    if name not in HEEDED:
        assert torch.equal(plain, narrow)
        return
    assert narrow[0].item() == pytest.approx(10, rel=1e-5)
    last = narrow[narrow > 0][-1].item()
    assert last > 0.1 if name == "SGM Uniform" else last == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("sampler", "discards"), [("DPM2", True), ("DPM2 a", True), ("DPM++ 3M SDE", True), ("LMS", False)]
)
def test_some_samplers_leave_out_the_last_but_one(sampler: str, discards: bool) -> None:
    longer = plan("Karras", 10)
    without = torch.cat((longer[:-2], longer[-1:]))
    assert torch.equal(plan("Karras", 9, sampler), without if discards else plan("Karras", 9))
    assert torch.equal(plan("Karras", 9, sampler, discard=True), without)
    assert torch.equal(plan("Karras", 9, sampler, discard=False), plan("Karras", 9))


@pytest.mark.parametrize("sampler", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
@pytest.mark.parametrize(("steps", "entries", "spacing"), [(20, 20, 50), (12, 13, 83), (2, 2, 500), (30, 31, 33)])
def test_samplers_of_timesteps_get_theirs_whatever_the_schedule(
    sampler: str, steps: int, entries: int, spacing: int
) -> None:
    timesteps = [min(999, 1 + place * spacing) for place in range(entries)]
    close(plan("Karras", steps, sampler), LEVELS.sigmas[timesteps[::-1]], rtol=0)
    assert torch.equal(plan("Beta", steps, sampler, discard=True), plan("Karras", steps + 1, sampler))


@pytest.mark.parametrize("sampler", ["DDIM", "DDIM CFG++", "PLMS"])
def test_one_timestep_is_nothing_to_do(sampler: str) -> None:
    with pytest.raises(UsageError, match="nothing to do in 1 step"):
        plan("Automatic", 1, sampler)
    assert len(plan("Automatic", 1, "UniPC")) == 1


@pytest.mark.parametrize("change", [{"rho": 0.001}, {"sigma_max": 1e39}, {"beta_alpha": 1e307}])
def test_numbers_that_lead_beyond_all_numbers_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        for name in ("Karras", "Beta"):
            plan(name, 9, **change)


def test_lcm_goes_over_the_levels_that_it_was_distilled_at() -> None:
    known = LEVELS.sigmas[19::20]
    close(plan("Uniform", 8, "LCM"), [*known[[49, 42, 35, 28, 21, 14, 7, 0]], 0.0])
    close(plan("Simple", 4, "LCM"), [*known[[49, 37, 24, 12]], 0.0])
    assert plan("Karras", 4, "LCM")[-2].item() == pytest.approx(known[0], rel=1e-5)


AUTOMATIC = {
    "Karras": ("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"),
    "Exponential": ("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"),
}


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_automatic_is_what_suits_the_sampler(name: str) -> None:
    chosen = find_sampler(name)
    meant = next((schedule for schedule, names in AUTOMATIC.items() if name in names), "Uniform")
    assert resolve("automatic", chosen) == meant
    assert resolve("beta", chosen) == "Beta"
    assert torch.equal(plan("Automatic", 9, name), plan(meant, 9, name))


def test_an_unknown_schedule_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match="There is no schedule 'karas'") as caught:
        plan("karas", 9)
    assert "Did you mean 'Karras'?" in caught.value.hint
    listed = caught.value.hint.partition("There are: ")[2].removesuffix(".").split(", ")
    assert set(listed) == set(SCHEDULE_NAMES)


@pytest.mark.parametrize(
    ("name", "steps", "tuning", "what"),
    [
        ("Karras", 0, {}, "0 steps"),
        ("Karras", 9, {"sigma_min": 20.0}, "from 14.6146 down to 20 are no range"),
        ("Beta", 9, {"sigma_min": 2.0, "sigma_max": 1.0}, "from 1 down to 2"),
        ("DDIM", 1001, {}, "no 1001 different"),
        ("Simple", 2000, {}, "no 2000 different"),
        ("Polyexponential", 150, {"rho": 40.0}, "no 150 different"),
    ],
)
def test_wishes_that_lead_nowhere(name: str, steps: int, tuning: dict[str, float], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        plan(name, steps, **tuning)
    assert caught.value.hint


def test_more_steps_than_there_are_timesteps() -> None:
    with pytest.raises(UsageError, match="DDIM cannot take 1001 steps"):
        plan("Automatic", 1001, "DDIM")


def test_what_flow_models_cannot_do() -> None:
    with pytest.raises(UsageError, match="Align Your Steps"):
        plan_sigmas("Align Your Steps", EULER, 9, FLOW)
    with pytest.raises(UsageError, match="no sigma of 3"):
        plan_sigmas("Karras", EULER, 9, FLOW, Tuning(sigma_max=3.0))
    for name in ("DDIM", "DDIM CFG++", "PLMS", "UniPC"):
        with pytest.raises(IncompatibleError, match=f"The sampler {re.escape(name)} does not work with flow models"):
            plan_sigmas("Simple", find_sampler(name), 9, FLOW)


def test_flow_schedules_are_those_of_forge() -> None:
    def shifted(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
        return [float(FLUX_SHIFT / (FLUX_SHIFT + 1 / time - 1)) for time in times]

    close(plan_sigmas("Simple", EULER, 4, FLOW), [*shifted(np.array([1.0, 0.75, 0.5, 0.25])), 0.0])
    times = np.linspace(1, FLOW.lowest, 6)
    close(plan_sigmas("Normal", EULER, 6, FLOW), [*shifted(times), 0.0])
    close(plan_sigmas("SGM Uniform", EULER, 5, FLOW), [*shifted(times[:-1]), 0.0])


@pytest.mark.parametrize(("denoise", "left"), [(1.0, 20), (0.75, 16), (0.5, 11), (0.1, 3), (0.0, 1)])
def test_from_a_picture_only_the_end_is_gone(denoise: float, left: int) -> None:
    whole = plan("Karras", 20)
    way = img2img_sigmas("Karras", EULER, 20, LEVELS, denoise)
    assert torch.equal(way.sigmas, whole[-left - 1 :])
    assert (way.start, way.lowest, way.highest) == (way.sigmas[0].item(), whole[-2].item(), whole[0].item())


@pytest.mark.parametrize(("denoise", "total"), [(1.0, 20), (0.7, 28), (0.5, 40), (0.05, 400)])
def test_hires_takes_all_steps_of_a_longer_schedule(denoise: float, total: int) -> None:
    way = img2img_sigmas("Karras", EULER, 20, LEVELS, denoise, exact=True)
    assert torch.equal(way.sigmas, plan("Karras", total)[-21:])


def test_the_end_of_a_schedule_keeps_its_settings() -> None:
    chosen, tuning = find_sampler("DPM2"), Tuning(sigma_min=0.2)
    way = img2img_sigmas("Automatic", chosen, 10, LEVELS, 0.5, tuning)
    assert torch.equal(way.sigmas, plan_sigmas("Karras", chosen, 10, LEVELS, tuning)[-7:])
    table = img2img_sigmas("Align Your Steps", EULER, 11, LEVELS, 0.5, family="sdxl")
    close(table.sigmas, [0.862, 0.555, 0.38, 0.234, 0.113, 0.029, 0.0])


def test_samplers_of_timesteps_begin_one_timestep_above_their_first() -> None:
    way = img2img_sigmas("Automatic", find_sampler("DDIM"), 20, LEVELS, 0.5)
    close(way.sigmas, LEVELS.sigmas[np.arange(451, 0, -50)], rtol=0)
    assert way.start == LEVELS.sigmas[501]
    exact = img2img_sigmas("Automatic", find_sampler("DDIM"), 20, LEVELS, 0.5, exact=True)
    close(exact.sigmas, LEVELS.sigmas[np.arange(451, 0, -25)], rtol=0)
    assert exact.start == LEVELS.sigmas[476]
    assert len(exact.sigmas) == 19


@pytest.mark.parametrize(
    ("sampler", "steps", "denoise", "exact"), [("DDIM", 20, 0.05, False), ("Euler", 20, 0.0, True)]
)
def test_nothing_to_do_is_said(sampler: str, steps: int, denoise: float, exact: bool) -> None:
    with pytest.raises(UsageError, match=f"denoising strength of {denoise:g}") as caught:
        img2img_sigmas("Karras", find_sampler(sampler), steps, LEVELS, denoise, exact=exact)
    assert caught.value.hint


@pytest.mark.parametrize("denoise", [-0.1, float("nan")])
def test_strengths_below_0_are_none(denoise: float) -> None:
    with pytest.raises(UsageError, match="is not possible"):
        img2img_sigmas("Karras", EULER, 20, LEVELS, denoise)
