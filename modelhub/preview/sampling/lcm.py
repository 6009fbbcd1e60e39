"""LCM: jumps all the way to what is seen, and takes fresh noise up to the next level."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from modelhub.preview.sampling.levels import Levels
from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import lifted, walk
from modelhub.preview.sampling.variance import shown

#: Distance of the timesteps that consistency models are distilled at: 50 of 1000.
STRIDE = 20
#: The spread of the data and the scale of timesteps that the boundary condition assumes.
_SPREAD, _SCALE = 0.5, 10.0


@sampler("LCM", ensd=True, stride=STRIDE)
def lcm(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Multistep consistency sampling: Luo et al. 2023, "Latent Consistency Models", algorithm 3.

    A flow has no grid of timesteps and needs no boundary condition: what is seen in x = clean is x by its formula.
    """
    flow = run.levels.flow
    for index, sigma, following in walk(sigmas):
        clean = x = denoise(x, sigma) if flow else _consistent(denoise, x, sigma, run.levels)
        if following > 0:
            scale, up = lifted(0.0, following, flow=flow)
            x = clean * scale + up * run.noise()
        run.step(index, clean)
    return x


def _consistent(denoise: Denoise, x: Tensor, sigma: float, levels: Levels) -> Tensor:
    """What a distilled model sees, which knows some timesteps alone; at 0 it would be x itself."""
    timestep = nearest(levels, sigma)
    skip, out = boundary(timestep)
    return out * shown(denoise, x, sigma, float(levels.at(timestep))) + skip * x


def nearest(levels: Levels, sigma: float) -> int:
    """The timestep 19, 39, ..., 999 whose log sigma is nearest."""
    first = (len(levels) - 1) % STRIDE
    known = np.log(levels.sigmas[first::STRIDE])
    return first + STRIDE * int(np.abs(known - math.log(sigma)).argmin())


def boundary(timestep: int) -> tuple[float, float]:
    """(c_skip, c_out): how much of x and of what is seen in it is clean; all of x at timestep 0.

    s^2 / (t^2 + s^2) and t / sqrt(t^2 + s^2): Song et al. 2023, "Consistency Models", equation 5 and appendix C, with
    the scaled timestep of LCM.
    """
    scaled = timestep * _SCALE
    return _SPREAD**2 / (scaled**2 + _SPREAD**2), scaled / math.hypot(scaled, _SPREAD)
