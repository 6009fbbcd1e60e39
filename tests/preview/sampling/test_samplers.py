"""What holds for every sampler: its name and facts, where it ends, what it reports, and that pictures do not mix."""

from __future__ import annotations

import pytest
import torch
from sampling_world import LEVELS, SHAPE, Draws, Seer, karras, noisy
from torch import Tensor

from modelhub.errors import CancelledError, NotFoundError
from modelhub.preview.noise.noise import Noise
from modelhub.preview.sampling.levels import scaled_linear
from modelhub.preview.sampling.names import SAMPLER_NAMES
from modelhub.preview.sampling.sampler import Run, Sampler
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import plan_sigmas
from modelhub.preview.sampling.tuning import Tuning

MU, S = 0.7, 0.5
ALL = SAMPLER_NAMES
WITH_NOISE = [name for name in ALL if find_sampler(name).eta or name in ("Restart", "LCM")]


def ideal(x: Tensor, sigma: float) -> Tensor:
    """Of data N(MU, S^2)."""
    return (S**2 * x + sigma**2 * MU) / (S**2 + sigma**2)


def start(sampler: Sampler, noise: Tensor, sigmas: Tensor) -> Tensor:
    return noise if sampler.timesteps else noise * float(sigmas[0])


def test_all_samplers_of_a1111_are_there_in_its_order() -> None:
    assert (
        *("DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE"),
        *("Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart"),
        *("DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM"),
    ) == SAMPLER_NAMES
    assert [find_sampler(name).name for name in SAMPLER_NAMES] == list(SAMPLER_NAMES)


def having(fact: str, value: object) -> set[str]:
    return {name for name in ALL if getattr(find_sampler(name), fact) == value}


def test_facts_are_those_of_a1111() -> None:
    assert having("calls", 2) == {"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}
    assert having("discard", True) == {"DPM2", "DPM2 a", "DPM++ 3M SDE"}
    ancestral = {"Euler a", "DPM2 a", "DPM++ 2S a", "DPM fast", "DPM adaptive"}
    assert having("ensd", False) == {"DPM++ 2M", "LMS", "PLMS", "UniPC"} | {name for name in ALL if "SDE" in name}
    karras = {"DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"}
    assert having("schedule", "Karras") == karras
    assert having("schedule", "Exponential") == {"DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"}
    assert having("timesteps", True) == {"DDIM", "DDIM CFG++", "PLMS", "UniPC"}
    assert having("churn", True) == {"Euler", "Heun", "DPM2"}
    assert having("noise", True) == having("churn", True) | {
        *("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM++ 2S a", "DPM2 a", "DPM fast")
    }
    assert having("eta", 0.0) == {"DDIM", "DDIM CFG++"}
    assert having("eta", 1.0) == ancestral | {name for name in ALL if "SDE" in name}
    assert having("cfg_divisor", 12.5) == {"DDIM CFG++"}
    assert having("stride", 20) == {"LCM"}
    assert having("flow", False) == having("timesteps", True)


@pytest.mark.parametrize("name", [name for name in ALL if not find_sampler(name).timesteps and name != "LCM"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_to_zero_end_at_what_the_denoiser_sees(name: str, steps: int) -> None:
    """Whatever it sees last, for it always sees the same picture; the two that go by levels stop short of 0."""
    sampler, picture = find_sampler(name), torch.full(SHAPE, 0.25, dtype=torch.float64)
    found = sampler.sample(Seer(lambda x, sigma: picture), Draws(1)() * 14.6, karras(steps), noisy(Draws(2)))
    assert (found - picture).abs().max().item() < (0.03 * 4 if name in ("DPM fast", "DPM adaptive") else 1e-6)


@pytest.mark.parametrize("name", [name for name in ALL if name != "LCM"])
@pytest.mark.parametrize("schedule", ["Automatic", "Exponential"])
def test_pictures_of_many_seeds_have_the_mean_and_spread_of_the_data(name: str, schedule: str) -> None:
    sampler = find_sampler(name)
    noise = Noise([5], (1, 150, 200), dtype=torch.float64, source="CPU")
    sigmas = plan_sigmas(schedule, sampler, 60, LEVELS)
    run = Run(noise.next, noise.brownian, lambda *_: None, LEVELS)
    found = sampler.sample(Seer(ideal), start(sampler, noise.initial(), sigmas), sigmas, run)
    assert found.mean().item() == pytest.approx(MU, abs=0.06)
    assert found.std().item() == pytest.approx(S, rel=0.1)


@pytest.mark.parametrize("name", WITH_NOISE)
def test_a_sampler_with_noise_forgets_its_start(name: str) -> None:
    sampler, sigmas = find_sampler(name), plan_sigmas("Automatic", find_sampler(name), 40, LEVELS)
    noise = Noise([5], (1, 50, 100), dtype=torch.float64, source="CPU")
    first = start(sampler, noise.initial(), sigmas)
    run = Run(noise.next, noise.brownian, lambda *_: None, LEVELS)
    found = sampler.sample(Seer(ideal), first, sigmas, run)
    alike = torch.corrcoef(torch.stack((first.flatten(), found.flatten())))[0, 1].item()
    assert abs(alike) < 0.6


@pytest.mark.parametrize("name", [name for name in ALL if name not in WITH_NOISE])
def test_a_sampler_without_noise_keeps_to_its_start(name: str) -> None:
    sampler, sigmas = find_sampler(name), plan_sigmas("Automatic", find_sampler(name), 40, LEVELS)
    first = start(sampler, Draws(1)(), sigmas)
    found = sampler.sample(Seer(ideal), first, sigmas, noisy(Draws(2)))
    assert torch.corrcoef(torch.stack((first.flatten(), found.flatten())))[0, 1].item() > 0.999


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [7, 21])
def test_every_step_is_reported_once_with_what_is_seen(name: str, steps: int) -> None:
    sampler, seen = find_sampler(name), []
    sigmas = plan_sigmas("Automatic", sampler, steps, LEVELS)
    draws, seer = Draws(2), Seer()
    run = Run(draws, lambda *_: draws.path, lambda index, clean: seen.append((index, clean)), LEVELS)
    sampler.sample(seer, start(sampler, Draws(1)(), sigmas), sigmas, run)
    assert [index for index, _ in seen] == list(range(len(seen)))
    if name != "DPM adaptive":
        assert len(seen) == sampler.reported(len(sigmas))
    if name not in ("PLMS", "UniPC", "LCM"):  # which make something of what they see
        assert all(any(clean is one for one in seer.seen) for _, clean in seen)
        assert len({id(clean) for _, clean in seen}) == len(seen)
    assert all(clean.shape == SHAPE for _, clean in seen)


@pytest.mark.parametrize("name", [name for name in ALL if not find_sampler(name).alone])
def test_a_picture_of_a_batch_is_the_picture_alone(name: str) -> None:
    sampler = find_sampler(name)
    sigmas = plan_sigmas("Automatic", sampler, 21, LEVELS)

    def made(seeds: list[int]) -> Tensor:
        noise = Noise(seeds, (4, 8, 8), ensd=31337)
        run = Run(noise.next, noise.brownian, lambda *_: None, LEVELS, Tuning(eta=0.9, churn=4))
        return sampler.sample(Seer(), start(sampler, noise.initial(), sigmas), sigmas, run)

    together = made([11, 12, 13])
    assert torch.equal(together, torch.cat([made([seed]) for seed in (11, 12, 13)]))
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("name", ALL)
def test_a_cancelled_job_ends_the_sampling(name: str) -> None:
    sampler, seen = find_sampler(name), []
    sigmas = plan_sigmas("Automatic", sampler, 10, LEVELS)

    class Cancelled(Seer):
        def __call__(self, x: Tensor, sigma: float) -> Tensor:
            if len(self.asked) == 5:
                raise CancelledError("Cancelled.")
            return super().__call__(x, sigma)

    draws = Draws(2)
    run = Run(draws, lambda *_: draws.path, lambda index, clean: seen.append(index), LEVELS)
    with pytest.raises(CancelledError):
        sampler.sample(Cancelled(), start(sampler, Draws(1)(), sigmas), sigmas, run)
    assert len(seen) <= 5


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_of_latents_is_kept_and_the_start_is_left_as_it_was(name: str, dtype: torch.dtype) -> None:
    sampler = find_sampler(name)
    sigmas = plan_sigmas("Automatic", sampler, 7, LEVELS)
    first = start(sampler, Draws(1, dtype=dtype)(), sigmas)
    before = first.clone()
    found = sampler.sample(Seer(), first, sigmas, noisy(Draws(2, dtype=dtype)))
    assert found.dtype == dtype
    assert found.isfinite().all()
    assert torch.equal(first, before)


@pytest.mark.parametrize("name", ["DPM++ 2M", "dpm++ 2m", "DPM++2M", " dpm++_2m"])
def test_names_forgive_case_and_spaces(name: str) -> None:
    assert find_sampler(name).name == "DPM++ 2M"


def test_an_unknown_sampler_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_sampler("Eulr\x1b[31m\n")
    assert caught.value.message == r"There is no sampler 'Eulr\x1b[31m\x0a'."
    assert set(caught.value.hint.removeprefix("There are: ").removesuffix(".").split(", ")) == set(SAMPLER_NAMES)


def test_the_levels_are_those_of_stable_diffusion() -> None:
    assert scaled_linear().highest == pytest.approx(14.614642)
