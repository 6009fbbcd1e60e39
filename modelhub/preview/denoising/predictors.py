"""Predictors: the networks of each family as one function of noisy latents, sigma and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from modelhub.preview.denoising.guidance import Prediction, from_velocity, scale_input
from modelhub.preview.sampling.levels import Levels


@dataclass(frozen=True)
class UNetPredictor:
    """A U-Net: x scaled to variance one, a timestep, and the formula of what it predicts.

    A U-Net that takes a vector gets that of the text, with the sizes that `with_sizes` adds.
    """

    network: Callable[..., Tensor]
    levels: Levels
    prediction: Prediction
    rounded: bool = False

    def __call__(
        self, x: Tensor, sigma: float, tokens: Tensor, pooled: Tensor | None, beside: Tensor | None = None
    ) -> Tensor:
        """Clean latents [N, C, h, w] in x; see `Predictor`."""
        timestep = self.levels.timestep(sigma, rounded=self.rounded)
        timesteps = torch.full((len(x),), timestep, dtype=torch.float32, device=x.device)
        shown = _with(scale_input(x, sigma), beside)
        return self.prediction(x, self.network(shown, timesteps, tokens, pooled), sigma)


@dataclass(frozen=True)
class FluxPredictor:
    """A flow transformer: x as it is, sigma of 0..1, and the velocity from clean latents to noise.

    `guidance` is the distilled CFG scale; None where the network takes none.
    """

    network: Callable[..., Tensor]
    guidance: float | None = None

    def __call__(
        self, x: Tensor, sigma: float, tokens: Tensor, pooled: Tensor | None, beside: Tensor | None = None
    ) -> Tensor:
        """Clean latents [N, C, h, w] in x; see `Predictor`."""
        sigmas = torch.full((len(x),), sigma, dtype=torch.float32, device=x.device)
        guidance = None if self.guidance is None else torch.full_like(sigmas, self.guidance)
        return from_velocity(x, self.network(_with(x, beside), sigmas, tokens, pooled, guidance), sigma)


def _with(x: Tensor, beside: Tensor | None) -> Tensor:
    return x if beside is None else torch.cat((x, beside.to(x)), dim=1)
