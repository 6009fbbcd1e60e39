"""Matrices: the best approximation of few ranks, and the rotation that takes one model to another."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, prod, sin
from typing import TYPE_CHECKING, Any

from modelhub.merge.engine.blending import nothing_added
from modelhub.merge.registry import method, number, whole

if TYPE_CHECKING:
    from torch import Tensor

#: Rows that are made fp64 at once.
_ROWS = 2048
#: Any angle will do (radians) that no two angles of a rotation sum to the double of.
_TILT = 0.7548776662466927


@method("truncate-rank", "Truncate rank", scope="tensor", pick=nothing_added)
def truncate_rank(
    base: Tensor,
    a: Tensor,
    *,
    rank: int = whole(32, low=1, high=320, help="ranks that are kept"),
    alpha: float = number(1.0, low=0, high=2, help="how much of the truncated difference"),
) -> Tensor:
    """base + α·Dᵣ, Dᵣ the nearest matrix of rank r to A − base.

    What a LoRA of that rank could hold of what A learned: a simpler difference, with less noise. Kernels of a
    convolution are laid out as rows; vectors, and tensors of no higher rank than that, keep all. Slow, and works on
    whole tensors.

    Source: Eckart and Young, 1936; as a merge, the "truncate_rank" of sd-mecha.
    """
    difference = a - base
    if difference.dim() > 1 and difference.numel():
        difference = _truncated(difference.flatten(1), rank).view(a.shape)
    return difference.mul_(alpha).add_(base)


def _truncated(matrix: Tensor, rank: int) -> Tensor:
    """Projected on its `rank` strongest directions, which the eigenvectors of the smaller Gram matrix are (fp64)."""
    import torch

    if min(matrix.shape) <= rank or not bool(matrix.isfinite().all()):
        return matrix
    if len(matrix) < matrix.shape[1]:
        return _truncated(matrix.T, rank).T.contiguous()
    products = torch.zeros(matrix.shape[1], matrix.shape[1], dtype=torch.float64)
    for rows in matrix.split(_ROWS):
        products += rows.double().T @ rows.double()
    strongest = torch.linalg.eigh(products).eigenvectors[:, -rank:]
    return torch.cat([(rows.double() @ strongest @ strongest.T).to(matrix.dtype) for rows in matrix.split(_ROWS)])


def _unturned(parameters: Mapping[str, Any]) -> int | None:
    return 0 if parameters["alpha"] == 0 and parameters["alignment"] == 0 else None


@method("rotate", "Rotate", scope="tensor", pick=_unturned)
def rotate(
    a: Tensor,
    b: Tensor,
    *,
    alignment: float = number(1.0, low=0, high=1, help="how far A is turned towards B"),
    alpha: float = number(0.0, low=0, high=1, help="how much of B, turned back to A, is mixed in before"),
) -> Tensor:
    """((1 − α)·A′ + α·B′·Qᵀ)·Qᵗ + (1 − t)·ā + t·b̄, Q the rotation that takes A′ = A − ā nearest to B′ = B − b̄.

    Gives A the orientation of B and keeps how its neurons lie to each other: t is the alignment, ā and b̄ the mean rows.
    Rows are those of a matrix, or the kernels of a convolution; a vector is one row, so it goes from A to B by t. For t
    other than 0 and 1, Q has no reflection, and a half turn gets there through 0. Where A is B, it is A. The slow one:
    a singular value decomposition per tensor. Works on whole tensors.

    Source: the "rotate" of sd-mecha, which goes from A to B by α in a vector, and takes another Q for matrices of more
    columns than rows; Schönemann, 1966 (orthogonal Procrustes problem).
    """
    import torch

    if torch.equal(a, b) or not a.numel():
        return a.clone()
    if not bool((a.isfinite() & b.isfinite()).all()):
        return a.lerp(b, alpha)
    turned = _turned(a.reshape(_as_rows(a.shape)).double(), b.reshape(_as_rows(a.shape)).double(), alignment, alpha)
    return turned.view(a.shape).to(a.dtype)


def _as_rows(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns): kernels of more than one element are rows; else what one output has of each input."""
    kernel = prod(shape[2:])
    width = kernel if kernel > 1 else prod(shape[1:]) if len(shape) > 1 else prod(shape)
    return prod(shape) // width, width


def _turned(a: Tensor, b: Tensor, alignment: float, alpha: float) -> Tensor:
    """The formula for two matrices in fp64."""
    import torch

    mean_a, mean_b = a.mean(0), b.mean(0)
    mean = mean_a.lerp(mean_b, alignment)
    if len(a) == 1:
        return mean.reshape(1, -1)
    a, b = a - mean_a, b - mean_b
    if 2 * len(a) < a.shape[1]:
        basis = torch.linalg.qr(torch.cat([a, b]).T).Q  # neither has anything outside of these directions
        turned: Tensor = _mixed(a @ basis, b @ basis, alignment, alpha) @ basis.T
        return turned + mean
    return _mixed(a, b, alignment, alpha) + mean


def _mixed(a: Tensor, b: Tensor, alignment: float, alpha: float) -> Tensor:
    """B mixed into A in A's orientation, then turned; of centred rows."""
    rotation = _procrustes(a, b, proper=alignment not in (0, 1))
    mixed = a.lerp(b @ rotation.T, alpha) if alpha else a
    if alignment:
        mixed = mixed @ (rotation if alignment == 1 else _part_way(rotation, alignment))
    return mixed


def _procrustes(a: Tensor, b: Tensor, proper: bool) -> Tensor:
    """The orthogonal Q with the least |A·Q − B|; `proper`: of those without a reflection.

    Where A and B leave it open, as most of a wide matrix, Q turns least: what a decomposition happens to have there
    would show in a part of the way.
    """
    import torch

    products = a.T @ b
    if not bool(products.isfinite().all()):  # Q does not depend on the sizes of A and B
        products = (a / a.abs().max()).T @ (b / b.abs().max())
    left, sizes, right = torch.linalg.svd(products)
    known = int((sizes > sizes[0] * len(sizes) * torch.finfo(sizes.dtype).eps).sum())
    if known < len(sizes):
        free_left, _, free_right = torch.linalg.svd(left[:, known:].T @ right[known:].T)
        left = torch.cat([left[:, :known], left[:, known:] @ free_left], 1)
        right = torch.cat([right[:known], free_right @ right[known:]])
    rotation: Tensor = left @ right
    if proper and bool(torch.linalg.det(rotation) < 0):
        rotation -= 2 * left[:, -1:] @ right[-1:]
    return rotation


def _part_way(rotation: Tensor, share: float) -> Tensor:
    """Q to the power of t.

    The real and imaginary parts of Q's eigenvalues are those of its symmetric part and of i times its other one; one
    Hermitian combination of these has Q's eigenvectors, and a Hermitian matrix has orthogonal ones.
    """
    import torch

    even, odd = (rotation + rotation.T) / 2, (rotation - rotation.T) / 2
    _, vectors = torch.linalg.eigh(torch.complex(cos(_TILT) * even, sin(_TILT) * odd))
    values = (vectors.conj() * (rotation.to(vectors.dtype) @ vectors)).sum(0)
    turned = torch.polar(torch.ones_like(values.real), values.angle() * share)
    power: Tensor = (vectors * turned) @ vectors.mH
    return power.real.contiguous()
