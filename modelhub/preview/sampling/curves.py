"""The curves of schedules: how noise levels fall. One function each, under its A1111 name.

All are computed in float32 and in the order of k-diffusion, because SDE samplers heed the last digit.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from modelhub.catalog.data import data_path
from modelhub.errors import UsageError
from modelhub.preview.registry import Registry
from modelhub.preview.sampling.beta import quantile
from modelhub.preview.sampling.levels import Levels
from modelhub.preview.sampling.names import AUTOMATIC
from modelhub.preview.sampling.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Frame:
    """What a schedule is made for: levels of a model of `family` (an architecture), and the finer settings."""

    levels: Levels
    tuning: Tuning
    family: str

    @property
    def lowest(self) -> float:
        """The last sigma above 0: as asked for, or the lowest of the model."""
        return self.levels.lowest if self.tuning.sigma_min is None else self.tuning.sigma_min

    @property
    def highest(self) -> float:
        """The first sigma: as asked for, or the highest of the model."""
        return self.levels.highest if self.tuning.sigma_max is None else self.tuning.sigma_max

    def rho(self, default: float) -> float:
        """The curvature asked for, or the schedule's own."""
        return default if self.tuning.rho is None else self.tuning.rho

    def timesteps(self, count: int) -> Tensor:
        """Evenly spaced timesteps (in flow models: times) of `highest` to `lowest`."""
        first, last = (self.levels.timestep(sigma) for sigma in (self.highest, self.lowest))
        return torch.linspace(first, last, count)

    def at(self, timesteps: Tensor) -> Tensor:
        """Sigmas of timesteps."""
        return torch.from_numpy(self.levels.at(timesteps.numpy())).float()


#: (steps, frame) -> all sigmas, 1-D float32 from the highest on, with the 0 at the end where there is one.
Schedule = Callable[[int, Frame], Tensor]

SCHEDULES: Registry[tuple[str, Schedule | None]] = Registry("schedule")
SCHEDULES.add(AUTOMATIC, (AUTOMATIC, None))


def schedule(name: str) -> Callable[[Schedule], Schedule]:
    """Register a schedule under its display name."""

    def register(function: Schedule) -> Schedule:
        SCHEDULES.add(name, (name, function))
        return function

    return register


@schedule("Uniform")
def uniform(steps: int, frame: Frame) -> Tensor:
    """Timesteps evenly spaced over all that the model knows, whatever range is asked for."""
    return normal(steps, Frame(frame.levels, Tuning(), frame.family))


@schedule("Karras")
def karras(steps: int, frame: Frame) -> Tensor:
    """(max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho: Karras et al. 2022, equation 5, with rho 7."""
    rho = frame.rho(7.0)
    low, high = frame.lowest ** (1 / rho), frame.highest ** (1 / rho)
    return _to_zero((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


@schedule("Exponential")
def exponential(steps: int, frame: Frame) -> Tensor:
    """Evenly spaced in log sigma."""
    return _to_zero(torch.linspace(math.log(frame.highest), math.log(frame.lowest), steps).exp())


@schedule("Polyexponential")
def polyexponential(steps: int, frame: Frame) -> Tensor:
    """A polynomial of degree rho in log sigma: with rho 1, as usual, evenly spaced."""
    low, high = math.log(frame.lowest), math.log(frame.highest)
    return _to_zero(torch.exp(torch.linspace(1, 0, steps) ** frame.rho(1.0) * (high - low) + low))


@schedule("SGM Uniform")
def sgm_uniform(steps: int, frame: Frame) -> Tensor:
    """One more timestep than Normal, the last left out: the step to 0 is as long as the others."""
    return _to_zero(frame.at(frame.timesteps(steps + 1)[:-1]))


@schedule("KL Optimal")
def kl_optimal(steps: int, frame: Frame) -> Tensor:
    """tan(i/n arctan(min) + (1 - i/n) arctan(max)): Sabour et al. 2024, "Align Your Steps", theorem 3.1.

    It ends at the lowest sigma, not at 0, as in A1111: pictures keep a trace of noise.
    """
    low, high = torch.arctan(torch.tensor(frame.lowest)), torch.arctan(torch.tensor(frame.highest))
    part = torch.arange(steps + 1) / steps
    return torch.tan(part * low + (1.0 - part) * high)


@schedule("Align Your Steps")
def align_your_steps(steps: int, frame: Frame) -> Tensor:
    """A table for 10 steps, optimised by Sabour et al. 2024; in between log-linear. It heeds no range asked for."""
    if frame.levels.flow:
        raise UsageError(
            "Align Your Steps has no noise levels for flow models.", "Choose another schedule, such as Simple or Beta."
        )
    table = _table(frame.family)
    if steps == len(table):
        return _to_zero(torch.tensor(table))
    places = np.linspace(0, 1, max(2, steps))[-steps:]
    logs = np.interp(places, np.linspace(0, 1, len(table)), np.log(table[::-1]))
    return _to_zero(torch.from_numpy(np.exp(logs)[::-1].copy()).float())


@schedule("Simple")
def simple(steps: int, frame: Frame) -> Tensor:
    """The model's own levels, every (1000 / n)th from the highest on, rounded down."""
    levels = frame.levels.sigmas
    spacing = len(levels) / steps
    return _to_zero(torch.tensor([levels[-(1 + int(index * spacing))] for index in range(steps)]).float())


@schedule("Normal")
def normal(steps: int, frame: Frame) -> Tensor:
    """Timesteps evenly spaced from the highest sigma to the lowest."""
    return _to_zero(frame.at(frame.timesteps(steps)))


@schedule("DDIM")
def ddim(steps: int, frame: Frame) -> Tensor:
    """The model's own levels 1, 1 + k, 1 + 2k, ... with k = 1000 // n: often more than n of them, as in A1111."""
    levels = frame.levels.sigmas
    return _to_zero(torch.from_numpy(levels[1 :: max(len(levels) // steps, 1)][::-1].copy()).float())


@schedule("Beta")
def beta(steps: int, frame: Frame) -> Tensor:
    """Quantiles of a beta distribution, dense at both ends: Lee et al. 2024, "Beta Sampling is All You Need"."""
    tuning, span = frame.tuning, frame.highest - frame.lowest
    parts = [quantile(part, tuning.beta_alpha, tuning.beta_beta) for part in (1 - np.linspace(0, 1, steps)).tolist()]
    return _to_zero(torch.tensor([frame.lowest + part * span for part in parts]))


@cache
def _tables() -> tuple[tuple[frozenset[str], Sequence[float]], ...]:
    """Families and their sigmas, from `catalog/schedules.toml`."""
    rows = tomllib.loads(data_path("schedules.toml").read_text(encoding="utf-8"))["align_your_steps"]
    return tuple((frozenset(row["families"]), tuple(row["sigmas"])) for row in rows)


def _table(family: str) -> Sequence[float]:
    """The sigmas for an architecture; the first table (SD1) for one that has none of its own."""
    return next((sigmas for families, sigmas in _tables() if family in families), _tables()[0][1])


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat((sigmas, sigmas.new_zeros(1)))
