"""A small world for samplers: a denoiser with a closed form, noise that never changes, and runs over them.

The picture is a mixture of two Gaussians for every value, so that what is seen depends on x in no simple way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from modelhub.preview.sampling.levels import scaled_linear
from modelhub.preview.sampling.sampler import Levels, Path, Run
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.tuning import Tuning

LEVELS = scaled_linear()
SHAPE = (2, 4, 3, 3)
MEANS, SPREAD = (-0.8, 0.9), 0.3


def mixture(x: Tensor, sigma: float) -> Tensor:
    """The mean of what is clean, given x = clean + sigma * noise, for an even mixture of two Gaussians."""
    variance = SPREAD**2 + sigma**2
    odds = torch.softmax(torch.stack([-((x - mean) ** 2) / (2 * variance) for mean in MEANS]), dim=0)
    seen = torch.stack([(SPREAD**2 * x + sigma**2 * mean) / variance for mean in MEANS])
    return (odds * seen).sum(dim=0)


class Seer:
    """A denoiser that keeps lists of the levels it was asked about and of what it said."""

    def __init__(self, see: Callable[[Tensor, float], Tensor] = mixture, bias: float = 0.0) -> None:
        self.asked: list[float] = []
        self.seen: list[Tensor] = []
        self._see = see
        self._bias = bias

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.asked.append(float(sigma))
        self.seen.append(self._see(x, sigma))
        return self.seen[-1]

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        clean = self(x, sigma)
        return clean, clean + self._bias


class Draws:
    """Noise from numpy's generator that is frozen for good; and a path that draws it in turn and keeps its times."""

    def __init__(self, seed: int, shape: Sequence[int] = SHAPE, dtype: torch.dtype = torch.float64) -> None:
        self._random = np.random.RandomState(seed)
        self._shape, self._dtype = tuple(shape), dtype
        self.count = 0
        self.times: list[tuple[float, float]] = []

    def __call__(self) -> Tensor:
        self.count += 1
        return torch.from_numpy(self._random.standard_normal(self._shape)).to(self._dtype)

    def path(self, sigma: float, following: float) -> Tensor:
        self.times.append((float(sigma), float(following)))
        return self()


def no_noise() -> Tensor:
    raise AssertionError("a deterministic sampler drew noise")


def no_path(lowest: float, highest: float) -> Path:
    raise AssertionError("a deterministic sampler asked for a path")


def quiet(index: int, clean: Tensor) -> None:
    pass


def still(levels: Levels = LEVELS, **tuning: object) -> Run:
    """A run without any noise to draw."""
    return Run(no_noise, no_path, quiet, levels, Tuning(**tuning))  # type: ignore[arg-type]


def noisy(draws: Draws, levels: Levels = LEVELS, **tuning: object) -> Run:
    """A run with these draws, also as the path."""
    return Run(draws, lambda lowest, highest: draws.path, quiet, levels, Tuning(**tuning))  # type: ignore[arg-type]


def karras(steps: int, low: float = 0.0291675, high: float = 14.614642) -> Tensor:
    """Karras' sigmas in float32, as A1111 has them, with the final 0."""
    first, last = high ** (1 / 7), low ** (1 / 7)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float32)
    return torch.cat([(first + ramp * (last - first)) ** 7, torch.zeros(1, dtype=torch.float32)])


@dataclass(frozen=True)
class Case:
    """One run to compare with k-diffusion: its function there, its arguments there, and ours."""

    sampler: str
    function: str
    arguments: dict[str, object] = field(default_factory=dict)
    tuning: dict[str, object] = field(default_factory=dict)
    steps: int = 8
    ends_at_zero: bool = True

    @property
    def name(self) -> str:
        told = ", ".join(f"{key} {value}" for key, value in self.tuning.items())
        return f"{self.sampler}, {self.steps} steps{', ' + told if told else ''}{'' if self.ends_at_zero else ', cut'}"

    @property
    def sigmas(self) -> Tensor:
        sigmas = karras(self.steps)
        return sigmas if self.ends_at_zero else sigmas[:-1]

    def start(self, dtype: torch.dtype) -> Tensor:
        return (Draws(1)() * float(self.sigmas[0])).to(dtype)


_CHURN = ({"s_churn": 4.0, "s_tmin": 0.05, "s_tmax": 9.0, "s_noise": 1.01},
          {"churn": 4.0, "churn_min": 0.05, "churn_max": 9.0, "noise": 1.01})  # fmt: skip
_STILL = {"DPM++ 2M": "dpmpp_2m", "LMS": "lms"}
_CHURNED = {"Euler": "euler", "Heun": "heun", "DPM2": "dpm_2"}
_NOISY = {
    "Euler a": "euler_ancestral",
    "DPM2 a": "dpm_2_ancestral",
    "DPM++ 2S a": "dpmpp_2s_ancestral",
    "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "dpmpp_2m_sde",
    "DPM++ 3M SDE": "dpmpp_3m_sde",
}


def _cases() -> list[Case]:
    found = [Case(name, function) for name, function in (_STILL | _CHURNED).items()]
    found += [Case(name, function, *_CHURN) for name, function in _CHURNED.items()]
    found += [Case(name, function, ends_at_zero=False) for name, function in (_STILL | _CHURNED).items()]
    for name, function in _NOISY.items():
        extra: dict[str, object] = {"solver_type": "heun"} if name.endswith("Heun") else {}
        found += [
            Case(name, function, {"eta": eta, **extra}, {"eta": eta}, ends_at_zero=whole)
            for eta, whole in ((1.0, True), (0.5, True), (0.0, True), (1.0, False))
        ]
        if name != "Euler a":
            found.append(Case(name, function, {"eta": 1.0, "s_noise": 1.02, **extra}, {"eta": 1.0, "noise": 1.02}))
    for eta in (0.0, 1.0):
        found += [Case("DPM fast", "dpm_fast", {"eta": eta}, {"eta": eta}, steps=steps) for steps in (7, 8, 9)]
        found.append(Case("DPM adaptive", "dpm_adaptive", {"eta": eta}, {"eta": eta}))
    return found


CASES = _cases()


def ours(case: Case, dtype: torch.dtype) -> tuple[Tensor, Seer, Draws]:
    """What our sampler makes of a case: the picture, whom it asked, what it drew."""
    seer, draws = Seer(), Draws(2, dtype=dtype)
    sigmas = case.sigmas.to(dtype)
    return find_sampler(case.sampler).sample(seer, case.start(dtype), sigmas, noisy(draws, **case.tuning)), seer, draws
