"""First passes over a tensor, that keep none of it: Gram matrices and sums of columns.

Sums are made in fp64, in groups whose size does not depend on the windows, so their last bits do not either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Window = tuple[torch.Tensor, ...]

#: Elements per group: what is added up at once, in fp64.
GRAIN = 1 << 14


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
