"""Positions as numbers a network can use: sinusoids of one number, and rotations by time, row and column."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_BASE = 10000.0


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """[N] -> float32 [N, width]: cosines, then sines, of positions times 10000^(-k / (width/2)), k = 0, 1, ...

    The position encoding of Vaswani et al. 2017 (arXiv:1706.03762, 3.5) in latent diffusion's order; 0 fills up an odd
    width.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=positions.device)
    angles = positions.float()[:, None] * torch.exp(steps * (-math.log(_BASE) / max(half, 1)))
    return F.pad(torch.cat((angles.cos(), angles.sin()), dim=-1), (0, width - 2 * half))


def axes(head_width: int) -> tuple[int, int, int]:
    """How many channels of a head turn with the time, the row and the column of a token: 16, 56 and 56 of Flux's 128.

    Narrower heads, as small models have them, keep these shares as nearly as even numbers can: 8, 28, 28 of 64.
    """
    side = 2 * (head_width * 7 // 32)
    return head_width - 2 * side, side, side


@lru_cache(maxsize=4)
def rotations(head_width: int, texts: int, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each float32 [texts + rows * columns, head_width / 2], that `rotate` turns tokens by.

    The first `texts` tokens stand at time, row and column 0, the rest at 0, row and column of the picture, row by row
    (Su et al. 2021, arXiv:2104.09864, for each axis). Angles are computed in float64, for they need its digits.
    """
    rows_, columns_ = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack((torch.zeros_like(rows_), rows_, columns_)).flatten(1)
    places = F.pad(places, (texts, 0)).double()
    angles = [place[:, None] * _frequencies(width) for place, width in zip(places, axes(head_width), strict=True)]
    angle = torch.cat(angles, dim=1)
    return angle.cos().float().to(device), angle.sin().float().to(device)


def _frequencies(width: int) -> Tensor:
    return 1.0 / _BASE ** (torch.arange(0, width, 2, dtype=torch.float64) / max(width, 1))


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """x [N, heads, T, D]: each pair of neighbouring channels turned by its token's angles; computed in float32."""
    cos, sin = rotation
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(x.dtype)
