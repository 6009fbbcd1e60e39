"""The noise levels a model was trained on: sigma of every timestep, and the way from one to the other and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class NoiseLevels:
    """Sigmas of the training timesteps 0, 1, 2, ... (ascending), with log-linear interpolation between them.

    sigma(t) = sqrt((1 - a_t) / a_t), with a_t the cumulative product of 1 - beta (Karras et al. 2022, "Elucidating the
    Design Space of Diffusion-Based Generative Models", table 1).
    """

    def __init__(self, alphas_cumprod: npt.ArrayLike) -> None:
        alphas = np.asarray(alphas_cumprod, dtype=np.float32)
        self.sigmas = np.sqrt((1 - alphas) / alphas).astype(np.float64)
        self._log_sigmas = np.log(self.sigmas)
        self._timesteps = np.arange(len(self.sigmas), dtype=np.float64)

    @property
    def lowest(self) -> float:
        """Sigma of timestep 0."""
        return float(self.sigmas[0])

    @property
    def highest(self) -> float:
        """Sigma of the last timestep."""
        return float(self.sigmas[-1])

    def timestep(self, sigma: float) -> float:
        """The fractional timestep of `sigma` > 0, by interpolation of log sigma; clamped to the trained range."""
        return float(np.interp(np.log(sigma), self._log_sigmas, self._timesteps))

    def at(self, timesteps: npt.ArrayLike) -> Floats:
        """Sigmas of (fractional) timesteps, any shape."""
        found: Floats = np.exp(np.interp(np.asarray(timesteps, dtype=np.float64), self._timesteps, self._log_sigmas))
        return found

    def __len__(self) -> int:
        return len(self.sigmas)


def scaled_linear(first: float = 0.00085, last: float = 0.012, count: int = 1000) -> NoiseLevels:
    """The levels of Stable Diffusion 1, 2 and XL: betas with evenly spaced square roots, multiplied up in float64."""
    betas = np.linspace(first**0.5, last**0.5, count, dtype=np.float64) ** 2
    return NoiseLevels(np.cumprod(1 - betas))
