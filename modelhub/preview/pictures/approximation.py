"""A live preview for a thousandth of the price: the VAE replaced by the nearest linear map from latents to colours."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.pictures.picture import Pixels, to_pixels

_CELLS, _CELL = 4, 2


class Approximation:
    """Least squares fit of `decode` [C, h, w] -> [3, h f, w f], made once from one small patchwork of random latents.

    Fitted to the VAE at hand, so it shows true colours with merged, replaced and tiny VAEs alike.
    """

    def __init__(self, decode: Callable[[Tensor], Tensor], channels: int, device: torch.device) -> None:
        noise = torch.randn((channels, _CELLS, _CELLS), generator=torch.Generator("cpu").manual_seed(0))
        latents = noise.repeat_interleave(_CELL, 1).repeat_interleave(_CELL, 2).to(device)
        image = decode(latents).float().cpu()
        image = image.nan_to_num(0, 0, 0)  # a VAE that is broken is told of when it decodes
        colours = F.adaptive_avg_pool2d(image, (_CELLS * _CELL, _CELLS * _CELL))
        self._weights = torch.linalg.lstsq(_with_one(latents.float().cpu()), colours.flatten(1).T).solution

    def __call__(self, latents: Tensor) -> Pixels:
        """Latents [C, h, w] to small pixels [h, w, 3]."""
        _, height, width = latents.shape
        colours = _with_one(latents.float().cpu()) @ self._weights
        return to_pixels(colours.T.reshape(3, height, width))


def _with_one(latents: Tensor) -> Tensor:
    """[C, h, w] -> [h w, C + 1], the last column 1."""
    rows = latents.flatten(1).T
    return torch.cat((rows, torch.ones(len(rows), 1)), dim=1)
