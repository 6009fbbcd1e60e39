"""First passes over a tensor, that keep none of it: Gram matrices, sums of columns, the k-th largest magnitude.

Sums are made in fp64, in groups whose size does not depend on the windows, so their last bits do not either; counts are
exact anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Window = tuple[torch.Tensor, ...]

#: Elements per group: what is added up at once, in fp64.
GRAIN = 1 << 14
#: Bits of a magnitude that one reading settles.
_DIGIT = 16


def gram(windows: Iterable[Window], *, base: int | None = None) -> torch.Tensor:
    """The inner products of all inputs with each other: an n × n matrix in fp64.

    With `base`, those of the differences of the other inputs from that one (in their order, so (n − 1) × (n − 1)),
    taken in fp64 before they are multiplied. Reads the windows once; tensors without elements have a 0 × 0 matrix.
    NaN and Inf of an input show in its row and column.
    """
    import torch

    total = torch.zeros(0, 0, dtype=torch.float64)
    for group in grains(windows):
        flat = group.reshape(len(group), -1)
        if base is not None:
            flat = torch.cat([flat[:base], flat[base + 1 :]]) - flat[base]
        part = flat @ flat.T
        total = part if total.numel() == 0 else total + part
    return total


def column_products(windows: Iterable[Window]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """⟨a, b⟩, ⟨a, a⟩ and ⟨b, b⟩ of each column (along dimension 0) of two inputs: fp64, in the shape of one row.

    None for tensors without elements. Reads the windows, which must be whole rows, once.
    """
    totals: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
    for a, b in grains(windows):
        parts = (a * b).sum(0), (a * a).sum(0), (b * b).sum(0)
        totals = parts if totals is None else (totals[0] + parts[0], totals[1] + parts[1], totals[2] + parts[2])
    return totals


def kth_magnitudes(windows: Iterable[Window], k: int, *, base: int | None = None) -> tuple[float, ...]:
    """The k-th largest magnitude of each input, exactly; with `base`, of the others' differences from that one.

    `k` counts from 1; the differences are taken in the windows' own dtype. A magnitude's bits, read as an integer, are
    in the order of the magnitudes, so its digits can be counted and settled from the highest down: `windows` is gone
    through twice in fp32, four times in fp64. NaN counts as larger than any number. Tensors without elements have ().
    """
    settled: list[int] = []
    left: list[int] = []
    for index in count():
        counts, dtype, last = _counts(windows, base, settled, index)
        if not settled:
            settled, left = [0] * len(counts), [k] * len(counts)
        for i, found in enumerate(counts):
            digit, left[i] = _settle(found, left[i])
            settled[i] = settled[i] * len(found) + digit
        if last:
            break
    return tuple(_number(bits, dtype) for bits in settled)


def grains(windows: Iterable[Window]) -> Iterator[torch.Tensor]:
    """The windows of n inputs regrouped along their first dimension: fp64 tensors (n, some, *the windows' others).

    Each but the last has `GRAIN` elements of every input, or as many rows as have, whatever the windows are. It is one
    buffer, filled again and again.
    """
    import torch

    buffer: torch.Tensor | None = None
    filled = 0
    for window in windows:
        if buffer is None:
            row = window[0].shape[1:]
            size = max(1, GRAIN // max(1, row.numel()))
            buffer = torch.empty(len(window), size, *row, dtype=torch.float64)
        done = 0
        while done < len(window[0]):
            take = min(buffer.shape[1] - filled, len(window[0]) - done)
            for i, tensor in enumerate(window):
                buffer[i, filled : filled + take] = tensor[done : done + take]
            filled, done = filled + take, done + take
            if filled == buffer.shape[1]:
                yield buffer
                filled = 0
    if buffer is not None and filled:
        yield buffer[:, :filled]


def _digit(dtype: torch.dtype, index: int) -> tuple[int, int]:
    """Where a digit of a magnitude begins, and how many bits it has; 0 is the highest one."""
    bits = dtype.itemsize * 8 - 1 - _DIGIT * index
    return max(0, bits - _DIGIT), min(_DIGIT, bits)


def _magnitudes(window: Window, base: int | None) -> Iterator[torch.Tensor]:
    """The bits of each magnitude, as integers."""
    import torch

    whole = torch.int64 if window[0].dtype == torch.float64 else torch.int32
    for i, tensor in enumerate(window):
        if i != base:
            found = tensor.abs() if base is None else (tensor - window[base]).abs_()
            yield found.reshape(-1).view(whole)


def _counts(
    windows: Iterable[Window], base: int | None, settled: Sequence[int], index: int
) -> tuple[list[torch.Tensor], torch.dtype | None, bool]:
    """How many magnitudes of each input have each digit, of those whose higher digits are the settled ones.

    Also the dtype, and whether this was the last digit.
    """
    import torch

    counts: list[torch.Tensor] = []
    dtype, shift = None, 0
    for window in windows:
        dtype = window[0].dtype
        shift, width = _digit(dtype, index)
        for i, bits in enumerate(_magnitudes(window, base)):
            if i == len(counts):
                counts.append(torch.zeros(1 << width, dtype=torch.int64))
            if settled:
                bits = bits[(bits >> (shift + width)) == settled[i]]
            digits = (bits >> shift).bitwise_and_((1 << width) - 1)
            counts[i] += torch.bincount(digits, minlength=1 << width)
    return counts, dtype, shift == 0


def _settle(counts: torch.Tensor, k: int) -> tuple[int, int]:
    """The digit of the k-th largest, and how many it is from the largest of those with this digit."""
    at_least = counts.flip(0).cumsum(0)
    place = min(int((at_least < k).sum()), len(counts) - 1)
    above = int(at_least[place - 1]) if place else 0
    return len(counts) - 1 - place, k - above


def _number(bits: int, dtype: torch.dtype | None) -> float:
    import torch

    if dtype == torch.float64:
        return float(torch.tensor(bits, dtype=torch.int64).view(torch.float64))
    return float(torch.tensor(bits, dtype=torch.int32).view(torch.float32))
