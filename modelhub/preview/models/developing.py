"""Between latents and pixels: whole or in strips, as memory allows, and in float32 where half precision overflows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from modelhub.errors import NoMemoryError
from modelhub.preview.models.budget import vae_bytes
from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.strips import STRIP, decode_in_strips, encode_in_strips
from modelhub.preview.networks.vae import Vae


@dataclass(frozen=True)
class _Task:
    """What is to be made of x: by the network as a `whole`, or in `strips`; latents are of `size` (height, width)."""

    x: Tensor
    size: tuple[int, int]
    whole: Callable[[Tensor], Tensor]
    strips: Callable[[Tensor], Tensor]


class Developer:
    """A VAE on a device: `decode` and `encode` as the network has them, but always finite if any precision can be.

    `strips` True works in strips whatever memory there is, False never, None when the whole picture would not fit or
    did not. SDXL's own VAE leaves the range of float16 (it says NaN), so what is not finite is done again in float32,
    and so is everything after it; the job that the residence heeds is told. Raises NoMemoryError, and what
    `Residence.use` raises.
    """

    def __init__(self, vae: Vae, residence: Residence, *, strips: bool | None = None) -> None:
        self.vae, self._residence, self._strips = vae, residence, strips

    def decode(self, z: Tensor) -> Tensor:
        """Latents [N, C, h, w], unscaled -> pixels [N, 3, H, W], float32, of about -1..1, on the device of z."""
        height, width = z.shape[-2:]
        return self._tried(_Task(z.float(), (height, width), self.vae.decode, lambda x: decode_in_strips(self.vae, x)))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [N, 3, H, W] in -1..1 -> mean and log variance of the latents, float32."""
        height, width = (size // self.vae.factor for size in x.shape[-2:])

        def whole(x: Tensor) -> Tensor:
            return torch.stack(self.vae.encode(x))

        def strips(x: Tensor) -> Tensor:
            return torch.stack(encode_in_strips(self.vae, x))

        mean, logvar = self._tried(_Task(x.float(), (height, width), whole, strips))
        return mean, logvar

    def _tried(self, task: _Task) -> Tensor:
        found = self._fitted(task)
        if self.vae.dtype == torch.float32 or not task.x.isfinite().all() or found.isfinite().all():
            return found
        said = str(self.vae.dtype).removeprefix("torch.")
        self._residence.job.say(f"The VAE leaves the range of {said}, so from now on it computes in float32.")
        self._residence.release(self.vae)
        self.vae.computes = torch.float32
        del found
        return self._fitted(task)

    def _fitted(self, task: _Task) -> Tensor:
        needed = vae_bytes(self.vae, len(task.x), *task.size)
        if self._strips is False or (self._strips is None and needed <= self._residence.reach(self.vae)):
            try:
                with self._residence.use(self.vae, needed):
                    return task.whole(task.x)
            except NoMemoryError:
                if self._strips is False:
                    raise
        with self._residence.use(self.vae, 2 * STRIP, whole=True):
            return task.strips(task.x)
