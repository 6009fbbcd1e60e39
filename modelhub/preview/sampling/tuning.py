"""Tuning: the finer settings of samplers and schedules, with A1111's defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelhub.errors import UsageError


@dataclass(frozen=True, slots=True)
class Tuning:
    """None means: as the sampler or schedule has it.

    `eta` scales the noise of ancestral and SDE samplers and of DDIM. `churn`, `churn_min`, `churn_max` and `noise` are
    the S_churn, S_tmin, S_tmax and S_noise of Karras et al. 2022, algorithm 2. `rho`, `sigma_min`, `sigma_max`,
    `beta_alpha` and `beta_beta` shape schedules; `discard` leaves out the last but one sigma. `rounded` shows the
    network whole timesteps, as Forge does, and not fractional ones, as A1111. `sgm_noise` starts with noise times
    sqrt(1 + sigma^2) instead of sigma. `order`, `variant`, `skip` and `lower_order_final` are UniPC's.

    Raises UsageError for numbers that mean nothing.
    """

    eta: float | None = None
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    noise: float = 1.0
    rho: float | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    discard: bool | None = None
    rounded: bool = False
    sgm_noise: bool = False
    order: int = 3
    variant: str = "bh1"
    skip: str = "time_uniform"
    lower_order_final: bool = True

    def __post_init__(self) -> None:
        ranges = (
            ("eta", self.eta, 0, 1000),
            ("churn", self.churn, 0, 1000),
            ("noise", self.noise, 0, 1000),
            ("rho", self.rho, 0.05, 1000),
            ("lowest sigma", self.sigma_min, 1e-6, 1e6),
            ("highest sigma", self.sigma_max, 1e-6, 1e6),
            ("beta schedule's alpha", self.beta_alpha, 1e-3, 1000),
            ("beta schedule's beta", self.beta_beta, 1e-3, 1000),
        )
        for name, value, least, most in ranges:  # beyond these, powers and gamma functions leave the range of numbers
            if value is not None and not least <= value <= most:
                raise _impossible(name, value, f"Choose a number from {least:g} to {most:g}.")
        if not self.churn_min <= self.churn_max:
            raise _impossible("lowest sigma of churn", self.churn_min, f"The highest is {self.churn_max:g}.")
        if self.order not in range(1, 10):
            raise _impossible("UniPC order", self.order, "Choose a number from 1 to 9; 3 is usual.")


def _impossible(name: str, value: float, hint: str) -> UsageError:
    return UsageError(f"A {name} of {value:g} is not possible.", hint)
