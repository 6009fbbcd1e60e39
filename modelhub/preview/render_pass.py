"""One pass: from noise, or from latents with noise on them, to clean latents, with one sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modelhub.jobs import QUIET, Job
from modelhub.preview.denoising.denoiser import Denoiser
from modelhub.preview.denoising.masked import Masked
from modelhub.preview.denoising.switching import Switching
from modelhub.preview.denoising.text import Conditioning
from modelhub.preview.models.budget import denoising_bytes
from modelhub.preview.models.model import Model
from modelhub.preview.noise.noise import Noise
from modelhub.preview.sampling.levels import Levels
from modelhub.preview.sampling.sampler import Denoise, OnStep, Run, Sampler
from modelhub.preview.sampling.schedules import Way
from modelhub.preview.sampling.tuning import Tuning


@dataclass(frozen=True)
class Begin:
    """What a pass begins with beside noise.

    `latents` [N, C, h, w] get noise of the first sigma; None is noise alone. `mask` [1, 1, h, w]: where it is 0 they
    stay. `beside` [N or 1, E, h, w] is what the denoiser sees beside latents, `image_cfg` the guidance by that.
    """

    latents: Tensor | None = None
    mask: Tensor | None = None
    beside: Tensor | None = None
    image_cfg: float | None = None

    def of(self, place: int) -> Begin:
        """That of one picture."""
        one = slice(place, place + 1)
        latents = None if self.latents is None else self.latents[one]
        beside = self.beside if self.beside is None or len(self.beside) == 1 else self.beside[one]
        return replace(self, latents=latents, beside=beside)


@dataclass(frozen=True)
class Voice:
    """A model with what it is told: prompts, CFG scale, guidance, and what it sees beside latents."""

    model: Model
    conditioning: Conditioning
    cfg: float
    guidance: float | None = None
    rounded: bool = False

    def denoiser(self, begin: Begin, job: Job = QUIET, calls: int = 0) -> Denoiser:
        """Its denoiser; `calls` were made before, by another model."""
        return Denoiser(
            self.model.predictor(rounded=self.rounded, guidance=self.guidance),
            self.conditioning,
            self.cfg,
            job,
            beside=begin.beside,
            image_cfg=begin.image_cfg,
            calls=calls,
        )

    def at_work(self, x: Tensor, begin: Begin) -> AbstractContextManager[None]:
        """While this is entered the network is on the device, with room to denoise x [N, C, h, w]."""
        told, network = self.conditioning, self.model.network
        scripts = [*(branch.script for branch in told.prompt), told.negative]
        tokens = max(len(text.tokens) for script in scripts for _, text in script.texts)
        batch = len(x) * (len(scripts) + (begin.image_cfg is not None))
        return self.model.residence.use(network, denoising_bytes(network, batch, x.shape[-2], x.shape[-1], tokens))


@dataclass(frozen=True)
class Pass:
    """A sampler on its `way` down, with `count` pictures; `noise_of` makes the noise of those at some places.

    After `switch_at` of the way `second` goes on in place of `first`; None is no other.
    """

    first: Voice
    sampler: Sampler
    way: Way
    noise_of: Callable[[Sequence[int]], Noise]
    count: int
    tuning: Tuning
    begin: Begin
    second: Callable[[], Voice] | None = None
    switch_at: float = 1.0

    @property
    def steps(self) -> int:
        """How many steps will be reported, of all pictures that are made one after another; DPM adaptive may differ."""
        return self.sampler.reported(len(self.way.sigmas)) * (self.count if self._apart else 1)

    @property
    def _apart(self) -> bool:
        return self.sampler.alone and self.count > 1

    def run(self, step: OnStep, job: Job = QUIET) -> Tensor:
        """Clean latents [N, C, h, w] on the model's device."""
        if not self._apart:
            return self._sample(range(self.count), self.begin, step, job)
        found = [self._sample([place], self.begin.of(place), step, job) for place in range(self.count)]
        return torch.cat(found)

    def _sample(self, places: Sequence[int], begin: Begin, step: OnStep, job: Job) -> Tensor:
        noise, levels = self.noise_of(places), self.first.model.levels
        x = self._start(noise.initial(), begin.latents, levels)
        with ExitStack() as there:
            return self._walk(self._denoiser(begin, x, there, job), x, begin, noise, step)

    def _walk(self, denoise: Denoise, x: Tensor, begin: Begin, noise: Noise, step: OnStep) -> Tensor:
        masked, levels = None, self.first.model.levels
        if begin.mask is not None and begin.latents is not None:
            denoise = masked = Masked(denoise, begin.latents, begin.mask, before=self.sampler.timesteps)
        brownian = noise.brownian if begin.latents is None else lambda *ends: noise.brownian(*self._ends)
        run = Run(noise.next, brownian, step, levels, self.tuning)
        found = self.sampler.sample(denoise, x, self.way.sigmas, run)
        return found if masked is None else masked.blend(found)

    @property
    def _ends(self) -> tuple[float, float]:
        """Between which sigmas the Brownian motion runs of which the end of a schedule has the end."""
        return self.way.lowest, self.way.highest

    def _denoiser(self, begin: Begin, x: Tensor, there: ExitStack, job: Job) -> Denoise:
        """The denoiser; `there` keeps on the device what computes, until it is closed."""
        make = self.second
        there.enter_context(self.first.at_work(x, begin))
        first = self.first.denoiser(begin, job)
        if make is None:
            return first

        def second(calls: int) -> Denoiser:
            there.close()
            voice, plain = make(), replace(begin, beside=None, image_cfg=None)
            there.enter_context(voice.at_work(x, plain))
            return voice.denoiser(plain, job, calls)

        return Switching(first, second, self.first.model.levels, self.switch_at, cut=self.sampler.timesteps)

    def _start(self, noise: Tensor, latents: Tensor | None, levels: Levels) -> Tensor:
        """What the sampler begins with: noise of the first sigma, on latents if there are any.

        Samplers that walk timesteps begin with variance one; so do others if `sgm_noise` is asked for, scaled up.
        """
        sigma = self.way.start
        if levels.flow:
            return sigma * noise + (1 - sigma) * (0 if latents is None else latents)
        scale = math.sqrt(1 + sigma**2)
        if latents is None:
            return noise if self.sampler.timesteps else noise * (scale if self.tuning.sgm_noise else sigma)
        x = latents + sigma * noise
        return x / scale if self.sampler.timesteps else x
