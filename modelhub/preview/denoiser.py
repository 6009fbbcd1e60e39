"""The denoiser: noisy latents to the clean latents that the network sees in them, guided by a prompt."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from modelhub.jobs import QUIET, Job
from modelhub.preview.guidance import Prediction, guide, scale_input
from modelhub.preview.noise_levels import NoiseLevels
from modelhub.preview.prompts import Conditioning

#: x [N, C, h, w], timesteps [N], context [N, T, D] -> the network's prediction [N, C, h, w].
Network = Callable[[Tensor, Tensor, Tensor], Tensor]


class Denoiser:
    """`denoise(x, sigma)` for samplers, of one network and one prompt pair.

    Prompt and negative prompt go through the network in one batch of 2N; `cfg` 1 leaves the negative prompt out.
    Each call first raises CancelledError if the job was cancelled.
    """

    def __init__(
        self,
        network: Network,
        levels: NoiseLevels,
        prediction: Prediction,
        conditioning: Conditioning,
        cfg: float,
        job: Job = QUIET,
    ) -> None:
        self._network = network
        self._levels = levels
        self._prediction = prediction
        self._conditioning = conditioning
        self._cfg = cfg
        self._job = job

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Clean latents [N, C, h, w] in x [N, C, h, w] with noise of level `sigma` > 0."""
        self._job.check()
        if self._cfg == 1:
            return self._predict(x, sigma, _repeat(self._conditioning.prompt, len(x)))
        both = (self._conditioning.prompt, self._conditioning.negative)
        context = torch.cat([_repeat(part, len(x)) for part in both])
        cond, uncond = self._predict(torch.cat((x, x)), sigma, context).chunk(2)
        return guide(cond, uncond, self._cfg)

    def _predict(self, x: Tensor, sigma: float, context: Tensor) -> Tensor:
        timesteps = torch.full((len(x),), self._levels.timestep(sigma), dtype=torch.float32, device=x.device)
        return self._prediction(x, self._network(scale_input(x, sigma), timesteps, context), sigma)


def _repeat(context: Tensor, count: int) -> Tensor:
    """[T, D] -> [count, T, D]."""
    return context.expand(count, *context.shape)
