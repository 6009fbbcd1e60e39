"""Schedules: at which noise levels a sampler looks at the picture. One function each, under its A1111 name.

A schedule maps (steps, levels) to `steps` positive sigmas, highest first; the final 0 is added for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from modelhub.preview.noise_levels import Floats, NoiseLevels
from modelhub.preview.registry import Registry
from modelhub.preview.samplers import Sampler

Schedule = Callable[[int, NoiseLevels], Floats]

#: The name that stands for "what suits the sampler".
AUTOMATIC = "Automatic"

_SCHEDULES: Registry[tuple[str, Schedule | None]] = Registry("schedule")
_SCHEDULES.add(AUTOMATIC, (AUTOMATIC, None))


def schedule(name: str) -> Callable[[Schedule], Schedule]:
    """Register a schedule under its display name."""

    def register(function: Schedule) -> Schedule:
        _SCHEDULES.add(name, (name, function))
        return function

    return register


@schedule("Uniform")
def uniform(steps: int, levels: NoiseLevels) -> Floats:
    """Timesteps evenly spaced from the last to 0, as sigmas; the "Normal" of other programs."""
    return levels.at(np.linspace(len(levels) - 1, 0, steps))


@schedule("Karras")
def karras(steps: int, levels: NoiseLevels, rho: float = 7.0) -> Floats:
    """(max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho: Karras et al. 2022, equation 5."""
    high, low = levels.highest ** (1 / rho), levels.lowest ** (1 / rho)
    return np.asarray((high + np.linspace(0, 1, steps) * (low - high)) ** rho)


def schedule_names() -> list[str]:
    """Display names of all schedules, "Automatic" first."""
    return _SCHEDULES.names()


def resolve(name: str, sampler: Sampler) -> str:
    """The display name of the schedule `name`, with the sampler's own in place of "Automatic". Raises NotFoundError."""
    found, function = _SCHEDULES.find(name)
    return sampler.schedule if function is None else found


def sigmas(name: str, sampler: Sampler, steps: int, levels: NoiseLevels) -> Tensor:
    """The sigmas [steps + 1] (float32, on the CPU) of a schedule for a sampler; the last is 0. Raises NotFoundError."""
    _, function = _SCHEDULES.find(resolve(name, sampler))
    assert function is not None, f"{sampler.name} names no real schedule"
    return torch.tensor([*function(steps, levels), 0.0], dtype=torch.float32)
