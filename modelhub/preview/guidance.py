"""From what the network predicts to clean latents, and from two predictions to one: the formulas and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

Prediction = Callable[[Tensor, Tensor, float], Tensor]


def from_epsilon(x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Clean latents from predicted noise: x - sigma * output (Ho et al. 2020, in the scaling of Karras et al. 2022)."""
    return x - sigma * output


def from_v(x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Clean latents from predicted velocity: x / (s^2 + 1) - output * s / sqrt(s^2 + 1) (Salimans and Ho 2022, D)."""
    return x / (sigma**2 + 1) - output * (sigma / math.sqrt(sigma**2 + 1))


#: Name of a prediction type, as `Identity.prediction` has it, to its formula.
PREDICTIONS: Mapping[str, Prediction] = MappingProxyType({"epsilon": from_epsilon, "v": from_v})


def scale_input(x: Tensor, sigma: float) -> Tensor:
    """What the network is shown of latents with noise `sigma`: x / sqrt(sigma^2 + 1), of variance one."""
    return x / math.sqrt(sigma**2 + 1)


def guide(cond: Tensor, uncond: Tensor, cfg: float) -> Tensor:
    """Classifier-free guidance: uncond + cfg * (cond - uncond) (Ho and Salimans 2022)."""
    return uncond + cfg * (cond - uncond)
