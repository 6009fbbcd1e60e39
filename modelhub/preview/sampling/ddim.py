"""DDIM: straight to what is seen, then back to the next level with the noise that was seen; and its CFG++ form.

x and the steps are in the scale of a fixed variance: x = (clean + sigma * noise) / sqrt(1 + sigma^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import walk
from modelhub.preview.sampling.variance import signal

Look = Callable[[Tensor, float], tuple[Tensor, Tensor]]


@sampler("DDIM", timesteps=True, ensd=True, eta=0.0, flow=False)
def ddim(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Song et al. 2021, "Denoising Diffusion Implicit Models", equation 12. With `eta` 1 it is DDPM."""

    def look(noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        clean = denoise(noisy, sigma)
        return clean, (noisy - clean) / sigma

    return _ddim(look, x, sigmas, run)


@sampler("DDIM CFG++", timesteps=True, ensd=True, eta=0.0, flow=False, cfg_divisor=12.5)
def ddim_cfgpp(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """DDIM that goes back with the noise that the negative prompt alone sees.

    Chung et al. 2024, "CFG++: Manifold-constrained Classifier Free Guidance for Diffusion Models", algorithm 2; its
    guidance goes from 0 to 1.
    """

    def look(noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        clean, plain = denoise.apart(noisy, sigma)
        return clean, (noisy - plain) / sigma

    return _ddim(look, x, sigmas, run)


def _ddim(look: Look, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """`look` at x in the scale where noise is only added: (what is clean, what is noise)."""
    eta = run.eta(0.0)
    for index, sigma, following in walk(sigmas):
        clean, noise = look(x / signal(sigma), sigma)
        kept, up = signal(following), eta * _spread(sigma, following)
        x = kept * clean + math.sqrt(max(0.0, 1 - kept**2 - up**2)) * noise
        if eta > 0:
            x = x + up * run.noise()
        run.step(index, clean)
    return x


def _spread(sigma: float, following: float) -> float:
    """The standard deviation of fresh noise at eta 1: sqrt((1 - a') / (1 - a) (1 - a / a')), a = 1 / (1 + sigma^2)."""
    here, ahead = signal(sigma) ** 2, signal(following) ** 2
    return math.sqrt((1 - ahead) / (1 - here) * (1 - here / ahead))
