"""Noise that depends on the seed of its own picture alone, never on the other pictures of a batch.

As in A1111: one generator per picture; the first draw is the initial noise, and every later draw of a sampler comes
from the same generator, or from one of seed + ENSD.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modelhub.preview.noise.brownian import BrownianTree, brownian_path
from modelhub.preview.noise.sources import Generator, find_source
from modelhub.preview.noise.variation import blend, pasted
from modelhub.preview.request import Variation
from modelhub.preview.sampling.sampler import Path


class Noise:
    """Standard normal noise [N, *shape] for N pictures with their seeds.

    `source` is NV (what NVIDIA cards draw, computed anywhere), CPU or GPU (the device's own). `ensd` is added to the
    seeds of all noise after the first. `variation` turns the first noise of picture i towards that of seed
    `variation.seed` + i. `resize_from` is the (height, width) in latents of noise that is put into the middle. Raises
    NotFoundError for an unknown source.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        source: str = "NV",
        ensd: int = 0,
        variation: Variation | None = None,
        resize_from: tuple[int, int] | None = None,
    ) -> None:
        self._seeds = tuple(seeds)
        self._shape = tuple(shape)
        self._device = torch.device(device)
        self._dtype = dtype
        self._source = find_source(source)
        self._ensd = ensd
        self._variation = variation if variation is not None and variation.strength != 0 else None
        self._small = None if resize_from is None else (self._shape[0], *resize_from)
        self._generators = self._seeded(0)

    def initial(self) -> Tensor:
        """The first noise of fresh generators: what sampling starts from. A second call starts the sequence again."""
        generators = self._seeded(0)
        draws = [self._first(place, generator) for place, generator in enumerate(generators)]
        self._generators = self._seeded(self._ensd) if self._ensd else generators
        return self._stacked(draws)

    def next(self) -> Tensor:
        """The next draw of every generator, for samplers that add noise on the way."""
        return self._stacked([generator(self._shape) for generator in self._generators])

    def brownian(self, lowest: float, highest: float) -> Path:
        """The path of a Brownian motion between two sigmas for SDE samplers: (sigma, following) -> noise [N, *shape].

        It is of variance one, and depends on the seeds and the source, not on what was drawn before, nor on ENSD.
        """
        low, high = torch.tensor([lowest, highest], dtype=torch.float32).tolist()
        trees = [BrownianTree(low, high, seed, self._draw) for seed in self._seeds]
        return brownian_path(trees, self._device, self._dtype)

    def _first(self, place: int, generator: Generator) -> Tensor:
        shape = self._small or self._shape
        noise = self._draw(self._seeds[place], shape) if self._small else generator(shape)
        if self._variation is not None:
            other = self._draw(self._variation.seed + place, shape)
            noise = blend(noise, other, self._variation.strength)
        return pasted(noise, generator(self._shape)) if self._small else noise

    def _draw(self, seed: int, shape: Sequence[int] | None = None) -> Tensor:
        """The first draw of a fresh generator."""
        return self._source(seed, self._device)(shape or self._shape)

    def _seeded(self, delta: int) -> list[Generator]:
        return [self._source(seed + delta, self._device) for seed in self._seeds]

    def _stacked(self, draws: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(draws)).to(self._device, self._dtype)
