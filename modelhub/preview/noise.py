"""Noise that depends on the seed of its own picture alone, never on the device or on the other pictures of a batch.

As in A1111 with `RNG: CPU`: one generator per picture on the CPU; the first draw is the initial noise, and every later
draw of a sampler comes from the same generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Standard normal noise [N, *shape] for N pictures with their seeds, drawn on the CPU in float32 and then moved."""

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._seeds = tuple(seeds)
        self._shape = tuple(shape)
        self._device = torch.device(device)
        self._dtype = dtype
        self._generators = self._seeded()

    def initial(self) -> Tensor:
        """The first draw of fresh generators: what sampling starts from. A second call starts the sequence again."""
        self._generators = self._seeded()
        return self.next()

    def next(self) -> Tensor:
        """The next draw of every generator, for samplers that add noise on the way."""
        draws = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(draws).to(self._device, self._dtype)

    def _seeded(self) -> list[torch.Generator]:
        return [torch.Generator("cpu").manual_seed(seed) for seed in self._seeds]
