"""The denoiser: noisy latents to the clean latents that the network sees in them, guided by prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from modelhub.jobs import QUIET, Job
from modelhub.preview.denoising.guidance import guide, guide_by_picture
from modelhub.preview.denoising.text import Conditioning, Text


class Predictor(Protocol):
    """One family's network with its parametrisation, its sizes and whatever else it is told."""

    def __call__(
        self, x: Tensor, sigma: float, tokens: Tensor, pooled: Tensor | None, beside: Tensor | None = None
    ) -> Tensor:
        """Clean latents [N, C, h, w] in x [N, C, h, w] with noise `sigma`.

        `tokens` [N, T, D] and `pooled` [N, P] are the texts; `beside` [N, E, h, w] are further channels of models that
        see a picture or a mask.
        """
        ...


class _Asked(NamedTuple):
    """One question to the network: a text, and what it sees beside the latents."""

    text: Text
    beside: Tensor | None


class Denoiser:
    """`denoise(x, sigma)` for samplers, of one model and its prompts.

    Texts of one length go through the network in one batch; `cfg` 1 leaves the negative prompt out. `beside` [N or 1,
    E, h, w] is what the network sees beside the latents of each picture. `image_cfg` is the guidance by that of pix2pix
    models, which are asked a third time, without it. Calls are counted, for prompts that change on the way. Each call
    first raises CancelledError if the job was cancelled.
    """

    def __init__(
        self,
        predict: Predictor,
        conditioning: Conditioning,
        cfg: float,
        job: Job = QUIET,
        *,
        beside: Tensor | None = None,
        image_cfg: float | None = None,
        calls: int = 0,
    ) -> None:
        self._predict = predict
        self._conditioning = conditioning
        self._cfg = cfg
        self._job = job
        self._beside = beside
        self._image_cfg = image_cfg
        self.calls = calls

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Clean latents [N, C, h, w] in x [N, C, h, w] with noise of level `sigma` > 0."""
        if self._cfg == 1 and self._image_cfg is None and [one.weight for one in self._conditioning.prompt] == [1]:
            (only,) = self._all(x, sigma, self._prompts())
            return only
        return self.apart(x, sigma)[0]

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The same, and what the network sees with the negative prompt alone."""
        negative = self._conditioning.negative.at(self.calls + 1)
        weights = [branch.weight for branch in self._conditioning.prompt]
        asked = [*self._prompts(), _Asked(negative, self._beside)]
        if self._image_cfg is None or self._beside is None:
            *conds, uncond = self._all(x, sigma, asked)
            return guide(conds, weights, uncond, self._cfg), uncond
        *conds, pictured, uncond = self._all(x, sigma, [*asked, _Asked(negative, torch.zeros_like(self._beside))])
        guided = guide(conds, weights, pictured, self._cfg)
        return guide_by_picture(guided, pictured, uncond, self._image_cfg), uncond

    def _prompts(self) -> list[_Asked]:
        return [_Asked(branch.script.at(self.calls + 1), self._beside) for branch in self._conditioning.prompt]

    def _all(self, x: Tensor, sigma: float, asked: Sequence[_Asked]) -> list[Tensor]:
        """Clean latents for each text, those of one length in one batch."""
        self._job.check()
        self.calls += 1
        groups: dict[int, list[int]] = defaultdict(list)
        for place, one in enumerate(asked):
            groups[len(one.text.tokens)].append(place)
        found: dict[int, Tensor] = {}
        for places in groups.values():
            clean = self._together(x, sigma, [asked[place] for place in places])
            found.update(zip(places, clean, strict=True))
        return [found[place] for place in range(len(asked))]

    def _together(self, x: Tensor, sigma: float, asked: Sequence[_Asked]) -> tuple[Tensor, ...]:
        tokens = torch.cat([one.text.tokens.expand(len(x), *one.text.tokens.shape) for one in asked])
        pooled = [one.text.pooled.expand(len(x), -1) for one in asked if one.text.pooled is not None]
        beside = [one.beside.expand(len(x), -1, -1, -1) for one in asked if one.beside is not None]
        whole, more = (torch.cat(parts) if parts else None for parts in (pooled, beside))
        return self._predict(torch.cat([x] * len(asked)), sigma, tokens, whole, more).chunk(len(asked))
