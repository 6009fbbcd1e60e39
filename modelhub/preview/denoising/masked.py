"""Masks: what stays of a picture is put back into what the model sees, so that ordinary models can inpaint."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise


@dataclass(frozen=True)
class Masked:
    """A denoiser that leaves the latents `kept` [N, C, h, w] alone where `mask` [1, 1, h, w] is 0; 1 is made anew.

    `before`: the latents are put back into what the network is shown, not into what it answers. A1111 does so for the
    samplers that walk timesteps, and puts them back without noise.
    """

    denoise: Denoise
    kept: Tensor
    mask: Tensor
    before: bool = False

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Clean latents, those that stay among them."""
        if not self.before:
            return self.blend(self.denoise(x, sigma))
        shown = self._shown(x, sigma)
        return x - shown + self.denoise(shown, sigma)

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The same, and with the negative prompt alone."""
        if not self.before:
            clean, uncond = self.denoise.apart(x, sigma)
            return self.blend(clean), self.blend(uncond)
        shown = self._shown(x, sigma)
        clean, uncond = self.denoise.apart(shown, sigma)
        return x - shown + clean, x - shown + uncond

    def blend(self, latents: Tensor) -> Tensor:
        """`latents` where the mask is 1, what stays where it is 0."""
        return latents * self.mask + self.kept * (1 - self.mask)

    def _shown(self, x: Tensor, sigma: float) -> Tensor:
        """x is sqrt(1 + sigma^2) times the latents of variance one that timesteps are about."""
        return x * self.mask + self.kept * (math.sqrt(1 + sigma**2) * (1 - self.mask))
