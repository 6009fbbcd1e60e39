"""From what the network predicts to clean latents, and from two predictions to one: the formulas and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from torch import Tensor

Prediction = Callable[[Tensor, Tensor, float], Tensor]


def from_epsilon(x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Clean latents from predicted noise: x - sigma * output (Ho et al. 2020, in the scaling of Karras et al. 2022)."""
    return x - sigma * output


def from_v(x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Clean latents from predicted velocity: x / (s^2 + 1) - output * s / sqrt(s^2 + 1) (Salimans and Ho 2022, D)."""
    return x / (sigma**2 + 1) - output * (sigma / math.sqrt(sigma**2 + 1))


def from_velocity(x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Clean latents of a flow, x = (1 - sigma) clean + sigma noise, from velocity noise - clean: x - sigma * output.

    Lipman et al. 2023, "Flow Matching for Generative Modeling", with the straight paths of Liu et al. 2022.
    """
    return x - sigma * output


#: Name of a prediction type, as `Identity.prediction` has it, to its formula.
PREDICTIONS: Mapping[str, Prediction] = MappingProxyType({"epsilon": from_epsilon, "v": from_v})


def scale_input(x: Tensor, sigma: float) -> Tensor:
    """What the network is shown of latents with noise `sigma`: x / sqrt(sigma^2 + 1), of variance one."""
    return x / math.sqrt(sigma**2 + 1)


def guide(conds: Sequence[Tensor], weights: Sequence[float], uncond: Tensor, cfg: float) -> Tensor:
    """Classifier-free guidance: uncond + sum_i w_i cfg (cond_i - uncond).

    Ho and Salimans 2022; the sum is composable diffusion (Liu et al. 2022, equation 11).
    """
    guided = uncond
    for cond, weight in zip(conds, weights, strict=True):
        guided = guided + (weight * cfg) * (cond - uncond)
    return guided


def guide_by_picture(guided: Tensor, with_picture: Tensor, without: Tensor, scale: float) -> Tensor:
    """Guidance by a picture, on top of that by text: guided + (scale - 1) (with_picture - without).

    `guided` began at `with_picture`, the negative prompt with the picture; `without` has neither. Brooks et al. 2023,
    "InstructPix2Pix", equation 3.
    """
    return guided + (scale - 1) * (with_picture - without)
