"""The scale of variance one, in which samplers of timesteps think: (clean + sigma * noise) / sqrt(1 + sigma^2)."""

from __future__ import annotations

import math

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise


def signal(sigma: float) -> float:
    """How much of the picture is in x: 1 / sqrt(1 + sigma^2), the square root of a_t."""
    return 1 / math.sqrt(1 + sigma**2)


def shown(denoise: Denoise, x: Tensor, sigma: float, other: float) -> Tensor:
    """Clean latents in x = clean + sigma * noise, when the network is told the timestep of the level `other`.

    It sees the same input: x at `other` is x scaled to the same variance, and the noise that it finds there counts.
    """
    scaled = x * (signal(sigma) / signal(other))
    return x - (scaled - denoise(scaled, other)) * (sigma / other)
