"""The refiner's switch: one model denoises the first part of the way, another one the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from modelhub.preview.denoising.denoiser import Denoiser
from modelhub.preview.sampling.levels import Levels

#: As far as a whole timestep may be off when it comes back from its sigma.
_BARELY = 1e-2


class Switching:
    """Goes over from the denoiser `first` to the one that `second` makes, once, when `at` of the way is done.

    The way is that of timesteps, as in A1111 since 1.9: (999 - the timestep of the nearest sigma) / 1000 is done; with
    `cut`, for samplers of timesteps, its own timestep cut to a whole one. `second` gets the number of calls so far:
    prompts that change go on counting. `levels` are those of `first`.
    """

    def __init__(
        self, first: Denoiser, second: Callable[[int], Denoiser], levels: Levels, at: float, *, cut: bool = False
    ) -> None:
        self._now, self._second, self._levels, self._at, self._cut = first, second, levels, at, cut
        self.switched = False

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Clean latents, from the model whose turn it is."""
        return self._turn(sigma)(x, sigma)

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The same, and with the negative prompt alone."""
        return self._turn(sigma).apart(x, sigma)

    def _turn(self, sigma: float) -> Denoiser:
        if not self.switched and self._done(sigma) >= self._at:
            self._now = self._second(self._now.calls)
            self.switched = True
        return self._now

    def _done(self, sigma: float) -> float:
        levels = self._levels
        nearest = int(np.abs(levels.sigmas - sigma).argmin())
        timestep = int(levels.timestep(sigma) + _BARELY) if self._cut else nearest
        return (len(levels) - 1 - timestep) / len(levels)
