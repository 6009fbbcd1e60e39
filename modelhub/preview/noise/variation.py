"""Noise made of other noise: a part of the way to another seed, or the noise of another picture size in the middle."""

from __future__ import annotations

import torch
from torch import Tensor

#: Above this mean cosine the two are the same noise, and the angle between them is too small to divide by its sine.
_PARALLEL = 0.9995


def blend(noise: Tensor, other: Tensor, strength: float) -> Tensor:
    """Spherical interpolation from `noise` (0) to `other` (1), both [C, h, w], column by column as A1111 does.

    Shoemake 1985, "Animating Rotation with Quaternion Curves". Columns run along h. Where the two are as good as equal
    they are mixed straight, with A1111's weights, which are the other way round there.
    """
    cosine = (_unit(noise) * _unit(other)).sum(1)
    if cosine.mean() > _PARALLEL:
        return noise * strength + other * (1 - strength)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    near = (torch.sin((1.0 - strength) * angle) / sine).unsqueeze(1)
    return near * noise + (torch.sin(strength * angle) / sine).unsqueeze(1) * other


def _unit(noise: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(noise, dim=1, keepdim=True)
    return noise / length


def pasted(noise: Tensor, onto: Tensor) -> Tensor:
    """A copy of `onto` [C, h, w] with `noise` [C, h', w'] in its middle, cut where it is larger.

    Odd differences are rounded down, so the margin on the left and above is the smaller one (A1111's seed resize).
    """
    result = onto.clone()
    (top, rows, down), (left, columns, right) = (
        _centred(small, large) for small, large in zip(noise.shape[1:], onto.shape[1:], strict=True)
    )
    result[:, top : top + rows, left : left + columns] = noise[:, down : down + rows, right : right + columns]
    return result


def _centred(small: int, large: int) -> tuple[int, int, int]:
    """(first place in the large, length, first place in the small) of what both share in the middle."""
    margin = (large - small) // 2
    return (margin, small, 0) if margin >= 0 else (0, small + 2 * margin, -margin)
