"""Parts of one model put into another: some rows, or some frequencies."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, prod
from typing import TYPE_CHECKING, Any

from modelhub.merge.registry import Stretch, method, number

if TYPE_CHECKING:
    from torch import Tensor


def _all_or_nothing(parameters: Mapping[str, Any]) -> int | None:
    found = 0 if parameters["alpha"] <= 0 else 1 if parameters["alpha"] >= 1 else None
    return None if found == 1 and not 0 <= parameters.get("beta", 0) <= 1 else found


def _rows(size: int, alpha: float, beta: float) -> tuple[range, bool]:
    """Some rows of `size`, and whether they are those of B (else those of A)."""
    ends = [floor(size * place + 1e-6) for place in (beta, alpha + beta, alpha + beta - 1)]
    first, last, wrapped = (max(0, min(size, end)) for end in ends)
    return (range(first, last), True) if alpha + beta <= 1 else (range(wrapped, first), False)


@method("tensor-sum", "Tensor sum", native=True, pick=_all_or_nothing)
def tensor_sum(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how many of the rows are B's"),
    beta: float = number(0.0, low=0, high=1, help="where these rows begin"),
    at: Stretch,
) -> Tensor:
    """B in the rows from β·N to (α + β)·N of dimension 0, A in the others.

    Nothing is computed: every weight is A's or B's, in one block of rows for each tensor. Where α + β > 1, B's rows go
    on at the first row. Fractions of a row are A's; a single number is one row.

    Source: the "Tensor sum" of supermerger.
    """
    chosen, is_b = _rows(at.shape[0] if at.shape else 1, alpha, beta)
    row = prod(at.shape[1:])
    here = slice(*(max(0, min(len(a), end * row - at.start)) for end in (chosen.start, chosen.stop)))
    result = (a if is_b else b).clone()
    result[here] = (b if is_b else a)[here]
    return result


@method("crossover", "Crossover", scope="tensor", pick=_all_or_nothing)
def crossover(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = number(0.5, low=0, high=1, help="how many of the frequencies are B's"),
    tilt: float = number(0.0, low=0, high=1, help="0 cuts sharply between A's frequencies and B's, 1 mixes them all"),
) -> Tensor:
    """F⁻¹((1 − f)·F(A) + f·F(B)), f = α + (ρ − 1 + α)·(1 − tilt) / tilt within 0 … 1, ρ the frequency from 0 to 1.

    Low frequencies of A, high ones of B: a tensor is seen as a picture of as many dimensions as it has. With tilt 0 all
    frequencies from 1 − α on are B's, with tilt 1 it is a weighted sum. ρ is the root mean square of a frequency's
    parts, each from 0 to 1. Slow, and works on whole tensors.

    Source: the "crossover" of sd-mecha; its filter has the same ends, and other slopes in between.
    """
    import torch

    alpha, tilt = max(0.0, min(1.0, alpha)), max(0.0, min(1.0, tilt))
    if tilt == 1 or not a.dim() or not a.numel():
        return a.lerp(b, alpha)
    waves = torch.fft.rfftn(b - a)
    waves *= _share_of_b(_frequencies(a.shape), alpha, tilt).to(a.dtype)
    mixed: Tensor = torch.fft.irfftn(waves, s=a.shape)
    return mixed.add_(a)


def _frequencies(shape: tuple[int, ...]) -> Tensor:
    """ρ of every place in the real Fourier transform of a tensor, in fp64."""
    import torch

    squares = torch.zeros((), dtype=torch.float64)
    for axis, size in enumerate(shape):
        steps = torch.arange(size // 2 + 1 if axis == len(shape) - 1 else size, dtype=torch.float64)
        along = torch.minimum(steps, size - steps) / max(1, size // 2)
        squares = squares + along.square().reshape(-1, *[1] * (len(shape) - axis - 1))
    return (squares / len(shape)).sqrt_()


def _share_of_b(frequencies: Tensor, alpha: float, tilt: float) -> Tensor:
    if tilt == 0:
        return (frequencies >= 1 - alpha).double()
    return ((frequencies - (1 - alpha)) * ((1 - tilt) / tilt) + alpha).clamp_(0, 1)
