"""Samplers against the schedulers of diffusers, where these take the same steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sampling_world import LEVELS, SHAPE, Draws, Seer, karras, mixture, noisy, still
from torch import Tensor

from modelhub.preview.sampling.sampler import Run
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.unipc import orders, solve

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def epsilon(x: Tensor, timestep: float) -> Tensor:
    """What a U-Net would say that sees the mixture: the noise in x of variance one."""
    sigma = float(LEVELS.at(timestep))
    noisy_x = x * math.sqrt(1 + sigma**2)
    return (noisy_x - mixture(noisy_x, sigma)) / sigma


def network(x: Tensor, sigma: float) -> Tensor:
    """The same as a denoiser."""
    return x - sigma * epsilon(x / math.sqrt(1 + sigma**2), LEVELS.timestep(sigma))


def over(scheduler: Any, sigmas: Tensor) -> Any:
    """A scheduler with these sigmas in place of its own."""
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas.float()
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1, dtype=torch.float32)
    return scheduler


@pytest.mark.parametrize(("name", "scheduler"), [("Euler", "EulerDiscreteScheduler"), ("LMS", "LMSDiscreteScheduler")])
def test_schedulers_where_noise_is_added(name: str, scheduler: str) -> None:
    import diffusers

    x, sigmas = Draws(1)() * 14.6, karras(9)
    theirs = over(getattr(diffusers, scheduler)(**BETAS), sigmas)
    sample = x
    for timestep, sigma in zip(theirs.timesteps, sigmas.tolist(), strict=False):
        theirs.is_scale_input_called = True
        output = (sample - mixture(sample, sigma)) / sigma
        sample = theirs.step(output, timestep, sample).prev_sample
    ours = find_sampler(name).sample(Seer(), x, sigmas, still())
    torch.testing.assert_close(ours, sample.double(), rtol=1e-3, atol=1e-3)


def test_heun() -> None:
    from diffusers import HeunDiscreteScheduler

    x, theirs = Draws(1)() * 14.6, HeunDiscreteScheduler(**BETAS, use_karras_sigmas=True)
    theirs.set_timesteps(9)
    sample = x
    for timestep, sigma in zip(theirs.timesteps, theirs.sigmas.tolist(), strict=False):
        sample = theirs.step((sample - mixture(sample, sigma)) / sigma, timestep, sample).prev_sample
    once = torch.cat((theirs.sigmas[:1], theirs.sigmas[1:-1:2], theirs.sigmas[-1:]))
    ours = find_sampler("Heun").sample(Seer(), x, once, still())
    torch.testing.assert_close(ours, sample.double(), rtol=1e-4, atol=1e-4)


def variance_one(scheduler: Any, x: Tensor, sigmas: Tensor) -> Tensor:
    """A scheduler that keeps variance one, over sigmas with a network of noise."""
    sample = x / math.sqrt(1 + float(sigmas[0]) ** 2)
    for timestep, sigma in zip(scheduler.timesteps, sigmas.tolist(), strict=False):
        noisy_x = sample * math.sqrt(1 + sigma**2)
        sample = scheduler.step((noisy_x - mixture(noisy_x, sigma)) / sigma, timestep, sample).prev_sample
    return sample * math.sqrt(1 + float(sigmas[-1]) ** 2)


def test_dpmpp_2m() -> None:
    from diffusers import DPMSolverMultistepScheduler

    x, sigmas = Draws(1)() * 14.6, karras(9)
    theirs = over(DPMSolverMultistepScheduler(**BETAS, final_sigmas_type="zero"), sigmas)
    ours = find_sampler("DPM++ 2M").sample(Seer(), x, sigmas, still())
    torch.testing.assert_close(ours, variance_one(theirs, x, sigmas), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("lower", [True, False])
def test_unipc(variant: str, order: int, lower: bool) -> None:
    from diffusers import UniPCMultistepScheduler

    x, sigmas = Draws(1)() * 14.6, karras(16)[:-1]
    config = {"solver_type": variant, "solver_order": order, "lower_order_final": lower}
    theirs = over(UniPCMultistepScheduler(**BETAS, **config), sigmas)
    way: list[float] = sigmas.tolist()
    plan = orders(order, 15, lower_final=lower)
    ours = solve(lambda latents, place: mixture(latents, way[place]), x, way, plan, variant, lambda *_: None)
    torch.testing.assert_close(ours, variance_one(theirs, x, sigmas), rtol=1e-3, atol=1e-3)


def grid(steps: int) -> Tensor:
    """A1111's timesteps as sigmas, the highest first."""
    return torch.from_numpy(LEVELS.at(np.arange(1, 1000, 1000 // steps)[::-1].copy()))


OFFSET = {"steps_offset": 1, "set_alpha_to_one": False}


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim(eta: float) -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(**BETAS, **OFFSET, clip_sample=False)
    theirs.set_timesteps(20)
    sample, draws = Draws(1)(), Draws(2)
    for timestep in theirs.timesteps[:-1]:
        said = epsilon(sample, int(timestep))
        sample = theirs.step(said, timestep, sample, eta=eta, variance_noise=draws()).prev_sample
    ours = find_sampler("DDIM").sample(Seer(network), Draws(1)(), grid(20), noisy(Draws(2), eta=eta))
    torch.testing.assert_close(ours, sample, rtol=1e-4, atol=1e-4)


def test_plms() -> None:
    from diffusers import PNDMScheduler

    theirs = PNDMScheduler(**BETAS, **OFFSET, skip_prk_steps=True)
    theirs.set_timesteps(20)
    sample = Draws(1)()
    for timestep in theirs.timesteps[:-1]:
        sample = theirs.step(epsilon(sample, int(timestep)), timestep, sample).prev_sample
    ours = find_sampler("PLMS").sample(Seer(network), Draws(1)(), grid(20), still())
    torch.testing.assert_close(ours, sample, rtol=1e-3, atol=1e-3)


def test_lcm() -> None:
    """diffusers scales x in its skip connection, which is nothing at these timesteps."""
    from diffusers import LCMScheduler

    timesteps = [999, 759, 499, 259, 39]
    theirs = LCMScheduler(**BETAS, clip_sample=False)
    theirs.set_timesteps(timesteps=timesteps)
    generator = torch.Generator().manual_seed(3)
    sample = Draws(1)()
    for timestep in theirs.timesteps:
        sample = theirs.step(epsilon(sample, int(timestep)), timestep, sample, generator=generator).prev_sample

    again = torch.Generator().manual_seed(3)
    run = Run(lambda: torch.randn(SHAPE, generator=again, dtype=torch.float64), pytest.fail, lambda *_: None, LEVELS)
    sigmas = torch.tensor([*LEVELS.at(timesteps), 0.0])
    x = Draws(1)() * math.sqrt(1 + LEVELS.highest**2)
    ours = find_sampler("LCM").sample(Seer(network), x, sigmas, run)
    torch.testing.assert_close(ours, sample, rtol=1e-3, atol=1e-3)
