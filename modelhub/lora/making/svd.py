"""Singular values and vectors of what adapters add: of a product by its small core, of a matrix by random projection.

A LoRA is the product of two thin matrices, up [m, r] and down [r, n]. With up = Q R and downᵀ = P T, the product is
Q (R Tᵀ) Pᵀ: its singular values are those of the r x r core, so that the m x n product is never formed, O((m + n) r²)
in place of O(m n min(m, n)). Of a whole matrix the first few are found by Halko, Martinsson and Tropp, "Finding
structure with randomness" (2011, arXiv:0909.4061), algorithm 4.4.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

#: Columns that are tried beyond those asked for, and how often the spectrum is squared: the errors of what fine-tuning
#: leaves are within a percent of the least.
OVERSAMPLE, POWER = 8, 2
#: From this share of all singular values on, the exact decomposition costs no more than the random one.
_MANY = 0.5
#: Elements that are added up at once in double precision.
_WINDOW = 1 << 20


class Decomposed(NamedTuple):
    """A matrix as left · diag(values) · right: left [m, k] fp32, values [k] fp64 descending, right [k, n] fp32.

    `energy` is the sum of the squares of all its singular values, also of those that are not among `values`.
    """

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor
    energy: float


def of_product(up: torch.Tensor, down: torch.Tensor) -> Decomposed:
    """All that is in up [m, r] @ down [r, n]: min(m, r, n) singular values, without forming the product."""
    import torch

    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.T)
    u, values, v = torch.linalg.svd(upper.double() @ lower.double().T, full_matrices=False)
    found = _signed(left @ u.to(left.dtype), values, v.to(right.dtype) @ right.T)
    return Decomposed(*found, float(values.square().sum()))


def of_matrix(matrix: torch.Tensor, rank: int, seed: int, *, whole: bool = False) -> Decomposed:
    """The first `rank` singular values of a matrix [m, n] fp32; with `whole` all of them, exactly.

    Exact, too, where so many are asked for that nothing is gained by chance. Equal for equal seeds. The values are at
    most what they are said to be: they are those of a projection, and `energy` is that of the matrix itself.
    """
    least = min(matrix.shape)
    if whole or rank + OVERSAMPLE >= _MANY * least:
        return _cut(_exact(matrix), least if whole else rank)
    return _cut(_random(matrix, rank + OVERSAMPLE, seed), rank)


def energy(matrix: torch.Tensor) -> float:
    """The sum of the squares of all elements, added in double precision; NaN or infinite if one of them is."""
    flat = matrix.reshape(-1)
    return sum(float(one.double().square().sum()) for one in flat.split(_WINDOW))


def seed_of(name: str) -> int:
    """A number to begin chance with, of a layer's name: each has its own, and always the same."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:6], "little")


def _exact(matrix: torch.Tensor) -> Decomposed:
    import torch

    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return Decomposed(*_signed(left, values.double(), right), energy(matrix))


def _random(matrix: torch.Tensor, columns: int, seed: int) -> Decomposed:
    """What a matrix does to random vectors shows where it is large; powers of it show that better."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    start = torch.randn(matrix.shape[1], columns, generator=chance, dtype=matrix.dtype)
    basis, _ = torch.linalg.qr(matrix @ start)
    for _ in range(POWER):
        back, _ = torch.linalg.qr(matrix.T @ basis)
        basis, _ = torch.linalg.qr(matrix @ back)
    return of_product(basis, basis.T @ matrix)._replace(energy=energy(matrix))


def _signed(
    left: torch.Tensor, values: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Signs as they are chosen here: the largest element of each left vector is positive."""
    import torch

    if not left.numel():
        return left, values, right
    largest = left.gather(0, left.abs().argmax(0, keepdim=True))[0]
    signs = torch.where(largest < 0, -1.0, 1.0).to(left.dtype)
    return left * signs, values, right * signs[:, None]


def _cut(found: Decomposed, rank: int) -> Decomposed:
    return Decomposed(found.left[:, :rank], found.values[:rank], found.right[:rank], found.energy)
