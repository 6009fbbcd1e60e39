"""Between latents and pixels: whole or in strips, as memory allows, and in float32 where half precision overflows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from modelhub.errors import NoMemoryError
from modelhub.jobs import QUIET, Job
from modelhub.preview.models.budget import vae_bytes
from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.strips import STRIP, decode_in_strips, encode_in_strips
from modelhub.preview.networks.vae import Vae

Found = TypeVar("Found")


class Developer:
    """A VAE on a device: `decode` and `encode` as the network has them, but always finite if any precision can be.

    `strips` True works in strips whatever memory there is, False never, None when the whole picture would not fit or
    did not. SDXL's own VAE leaves the range of float16 (it says NaN), so what is not finite is done again in float32,
    and so is everything after it.
    """

    def __init__(self, vae: Vae, residence: Residence, *, strips: bool | None = None, job: Job = QUIET) -> None:
        self.vae, self._residence, self._strips, self._job = vae, residence, strips, job

    def decode(self, z: Tensor) -> Tensor:
        """Latents [N, C, h, w], unscaled -> pixels [N, 3, H, W], float32, of about -1..1, on the device of z."""
        return self._tried(z, z.shape[-2:], self.vae.decode, lambda x: decode_in_strips(self.vae, x))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [N, 3, H, W] in -1..1 -> mean and log variance of the latents, float32."""
        height, width = (size // self.vae.factor for size in x.shape[-2:])

        def whole(x: Tensor) -> Tensor:
            return torch.stack(self.vae.encode(x))

        def strips(x: Tensor) -> Tensor:
            return torch.stack(encode_in_strips(self.vae, x))

        mean, logvar = self._tried(x, (height, width), whole, strips)
        return mean, logvar

    def _tried(
        self,
        x: Tensor,
        size: tuple[int, ...],
        whole: Callable[[Tensor], Tensor],
        strips: Callable[[Tensor], Tensor],
    ) -> Tensor:
        found = self._fitted(x.float(), size, whole, strips)
        if self.vae.dtype != torch.float32 and torch.isfinite(x).all() and not torch.isfinite(found).all():
            self._job.say(f"The VAE leaves the range of {str(self.vae.dtype).removeprefix('torch.')}: float32 it is.")
            self._residence.release(self.vae)
            self.vae.computes = torch.float32
            found = self._fitted(x.float(), size, whole, strips)
        return found

    def _fitted(
        self,
        x: Tensor,
        size: tuple[int, ...],
        whole: Callable[[Tensor], Tensor],
        strips: Callable[[Tensor], Tensor],
    ) -> Tensor:
        height, width = size
        needed = vae_bytes(self.vae, len(x), height, width)
        if self._strips is False or (self._strips is None and needed <= self._residence.reach(self.vae)):
            try:
                with self._residence.use(self.vae, needed):
                    return whole(x)
            except NoMemoryError:
                if self._strips is False:
                    raise
        with self._residence.use(self.vae, 2 * STRIP, whole=True):
            return strips(x)
