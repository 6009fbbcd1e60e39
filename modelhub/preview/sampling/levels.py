"""The noise levels a model was trained on: sigma of every timestep, and the way from one to the other and back.

All of it is computed in float32, as k-diffusion does: pictures depend on the last digit where a sampler draws its noise
from a Brownian tree. Roots are numpy's, which are rounded alike on every machine; torch's are not.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]


class Levels(Protocol):
    """Sigmas of the training timesteps 0, 1, 2, ..., ascending; `flow` where x = (1 - sigma) clean + sigma noise."""

    sigmas: Floats
    flow: bool

    @property
    def lowest(self) -> float:
        """The first of `sigmas`."""
        ...

    @property
    def highest(self) -> float:
        """The last of `sigmas`."""
        ...

    def timestep(self, sigma: float, *, rounded: bool = False) -> float:
        """What the network is shown for `sigma` > 0: a fractional timestep, or the nearest whole one."""
        ...

    def at(self, timesteps: npt.ArrayLike) -> Floats:
        """Sigmas of (fractional) timesteps, any shape; in flow models of times 0..1 before the shift."""
        ...

    def __len__(self) -> int: ...


class _Ascending:
    """Levels by their `sigmas`, which ascend."""

    sigmas: Floats

    @property
    def lowest(self) -> float:
        """Sigma of timestep 0, or in a flow of the first time after 0."""
        return float(self.sigmas[0])

    @property
    def highest(self) -> float:
        """Sigma of the last timestep; in a flow 1, which is noise alone."""
        return float(self.sigmas[-1])

    def __len__(self) -> int:
        return len(self.sigmas)


class NoiseLevels(_Ascending):
    """Sigmas of the training timesteps 0, 1, 2, ... (ascending), with log-linear interpolation between them.

    sigma(t) = sqrt((1 - a_t) / a_t), with a_t the cumulative product of 1 - beta (Karras et al. 2022, "Elucidating the
    Design Space of Diffusion-Based Generative Models", table 1).
    """

    flow = False

    def __init__(self, alphas_cumprod: npt.ArrayLike) -> None:
        self.alphas = np.array(alphas_cumprod, dtype=np.float32)
        sigmas = np.sqrt((1 - self.alphas) / self.alphas)
        self.sigmas = sigmas.astype(np.float64)
        self._logs = torch.from_numpy(sigmas).log()

    def timestep(self, sigma: float, *, rounded: bool = False) -> float:
        """The fractional timestep of `sigma` > 0, by interpolation of log sigma; clamped to the trained range.

        `rounded`: the whole one whose log sigma is nearest.
        """
        log = torch.tensor([sigma], dtype=torch.float32).log()
        if rounded:
            return float((log - self._logs).abs().argmin())
        below = (torch.searchsorted(self._logs, log, right=True) - 1).clamp(0, len(self) - 2)
        low, high = self._logs[below], self._logs[below + 1]
        part = ((low - log) / (low - high)).clamp(0, 1)
        return float((1 - part) * below + part * (below + 1))

    def at(self, timesteps: npt.ArrayLike) -> Floats:
        """Sigmas of (fractional) timesteps, any shape; clamped to the trained range."""
        places = torch.as_tensor(np.asarray(timesteps, dtype=np.float32)).clamp(0, len(self) - 1)
        part = places.frac()
        logs = (1 - part) * self._logs[places.floor().long()] + part * self._logs[places.ceil().long()]
        return _doubles(logs.exp())


class FlowLevels(_Ascending):
    """Sigmas of flow models for the times 1/n, 2/n, ..., 1, shifted towards noise: s / (s + 1/t - 1).

    Esser et al. 2024, "Scaling Rectified Flow Transformers", section 5.3.2; Flux names the shift s by mu = ln s. The
    network is shown sigma itself, so `timestep` is not the inverse of `at`.
    """

    flow = True

    def __init__(self, shift: float, count: int = 10_000) -> None:
        self._shift = shift
        self.sigmas = self.at(torch.arange(1, count + 1) / count)

    def timestep(self, sigma: float, *, rounded: bool = False) -> float:
        """`sigma` itself, as the network is shown it; nothing is ever rounded."""
        del rounded
        return sigma

    def at(self, timesteps: npt.ArrayLike) -> Floats:
        """Sigmas of times 0..1 before the shift, any shape."""
        times = torch.as_tensor(np.asarray(timesteps, dtype=np.float32))
        return _doubles(self._shift / (self._shift + (1 / times - 1)))


#: The shifts of Flux in Forge: mu 1.15, which is meant for 1024 x 1024 pixels, at every size; and 1 for schnell.
FLUX_SHIFT, SCHNELL_SHIFT = math.exp(1.15), math.exp(1.0)


def scaled_linear(first: float = 0.00085, last: float = 0.012, count: int = 1000) -> NoiseLevels:
    """The levels of Stable Diffusion 1, 2 and XL: betas with evenly spaced square roots, multiplied up in float64."""
    betas = np.linspace(first**0.5, last**0.5, count, dtype=np.float64) ** 2
    return NoiseLevels(np.cumprod(1 - betas))


#: What stands for a last alpha of zero, whose sigma would be infinite; sigma is 4518.76. The number is Playground v2's.
_ALMOST_ZERO = 4.8973451890853435e-08


def zero_terminal(levels: NoiseLevels) -> NoiseLevels:
    """The same levels stretched until the last is noise alone, for models that were trained so.

    sqrt(a_t) - sqrt(a_T), scaled to keep sqrt(a_0): Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps
    are Flawed", algorithm 1.
    """
    roots = np.sqrt(levels.alphas)
    first, last = roots[0], roots[-1]
    alphas = ((roots - last) * (first / (first - last))) ** 2
    alphas[-1] = _ALMOST_ZERO
    return NoiseLevels(alphas)


def thinned(levels: NoiseLevels, stride: int) -> NoiseLevels:
    """Every `stride`th level, counted from the last, for samplers of models that were distilled at these alone."""
    return NoiseLevels(levels.alphas[(len(levels) - 1) % stride :: stride])


def _doubles(values: Tensor) -> Floats:
    found: Floats = values.double().numpy()
    return found
