"""Rotations from skew matrices by Cayley's map, as what they add to staying in place: R − I.

R − I is made directly, not as R less 1, so that rotations by little lose no digits; in fp64, for systems are solved.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def turned(skew: torch.Tensor) -> torch.Tensor:
    """R − I = 2 Q (I − Q)⁻¹ of R = (I + Q)(I − Q)⁻¹, for skew Q [..., b, b]; fp64 like Q."""
    import torch

    one = torch.eye(skew.shape[-1], dtype=skew.dtype)
    found: torch.Tensor = torch.linalg.solve(one - skew, 2 * skew, left=False)
    return found


def unrolled(skew: torch.Tensor, terms: int) -> torch.Tensor:
    """R − I of the series I + 2Q + 2Q² + … as PEFT cuts it: the last power has no 2 before it, and 3 terms are 4."""
    import torch

    last = terms - 1 if terms < 3 else max(terms, 4) - 1
    power, found = skew, torch.zeros_like(skew)
    for number in range(1, last + 1):
        found = found + (power if number == last > 1 else 2 * power)
        power = power @ skew
    return found


def constrained(blocks: torch.Tensor, limit: float) -> torch.Tensor:
    """Q = B − Bᵀ, all blocks together scaled down to a norm of `limit`; 0 is no limit (LyCORIS, kohya)."""
    skew = blocks - blocks.mT
    norm = float(skew.norm()) + 1e-8
    return skew * (limit / norm) if 0 < limit < norm else skew


def side_of(values: int) -> int:
    """The side b of a block with b (b − 1) / 2 values above its diagonal; 0 if there is none."""
    side = (1 + isqrt(1 + 8 * values)) // 2
    return side if side * (side - 1) // 2 == values else 0


def above(vectors: torch.Tensor) -> torch.Tensor:
    """Skew matrices [n, b, b] of the values above their diagonals [n, b (b − 1) / 2], row by row (PEFT)."""
    import torch

    side = side_of(vectors.shape[1])
    row, column = torch.triu_indices(side, side, 1)
    found = vectors.new_zeros(vectors.shape[0], side, side)
    found[:, row, column] = vectors
    return found - found.mT
