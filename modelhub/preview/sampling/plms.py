"""PLMS: DDIM with the noise extrapolated from the last four looks."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import walk
from modelhub.preview.sampling.variance import signal

#: Weights of Adams and Bashforth over even steps, newest first, by how many looks there are.
_WEIGHTS = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


@sampler("PLMS", timesteps=True, flow=False)
def plms(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Pseudo linear multistep of order 4; the first step looks twice, as Heun's does.

    Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", equation 12 with the start of the
    latent diffusion code.
    """
    looks: deque[Tensor] = deque(maxlen=4)
    for index, sigma, following in walk(sigmas):
        looks.appendleft(_noise(denoise, x, sigma))
        noise = looks[0]
        if len(looks) == 1:
            ahead, _ = _transfer(x, noise, sigma, following)
            noise = (noise + _noise(denoise, ahead, following)) / 2
        else:
            noise = sum(
                (weight * look for weight, look in zip(_WEIGHTS[len(looks)][1:], list(looks)[1:], strict=True)),
                start=_WEIGHTS[len(looks)][0] * noise,
            )
        x, clean = _transfer(x, noise, sigma, following)
        run.step(index, clean)
    return x


def _noise(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    noisy = x / signal(sigma)
    return (noisy - denoise(noisy, sigma)) / sigma


def _transfer(x: Tensor, noise: Tensor, sigma: float, following: float) -> tuple[Tensor, Tensor]:
    """x at the next level, and the clean latents that go with the noise."""
    clean = x / signal(sigma) - sigma * noise
    return signal(following) * (clean + following * noise), clean
