"""Differences of two models, layer by layer: each found under its own name in either, whatever their layouts."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from modelhub.formats.source import TensorSource
from modelhub.lora.layers import Layer, Stretch

if TYPE_CHECKING:
    import torch

#: Elements that are read at once.
_WINDOW = 1 << 20


def difference(tuned: TensorSource, layer: Layer, base: TensorSource, other: Layer) -> torch.Tensor:
    """The weight of a layer in one model minus that in another, [out, in · kernel], fp32 (fp64 where one of them is).

    Exact but for one rounding: what 16 bits hold, fp32 holds too. One layer and a window of it are in memory.
    """
    return _minus(tuned, layer.stretches, layer.turned, base, other.stretches, other.turned, layer.shape)


def bias_difference(tuned: TensorSource, layer: Layer, base: TensorSource, other: Layer) -> torch.Tensor | None:
    """The same of its bias, [out, 1]; None where one of them has none, or another number of rows."""
    rows = {sum(one.count for one in found.bias) for found in (layer, other)}
    if len(rows) != 1 or 0 in rows:
        return None
    return _minus(tuned, layer.bias, False, base, other.bias, False, (rows.pop(),))


def _minus(
    tuned: TensorSource,
    ours: Sequence[Stretch],
    our_turn: bool,
    base: TensorSource,
    theirs: Sequence[Stretch],
    their_turn: bool,
    shape: Sequence[int],
) -> torch.Tensor:
    import torch

    names = [(tuned, one.tensor) for one in ours] + [(base, one.tensor) for one in theirs]
    is_double = any(source.info(name).dtype == "F64" for source, name in names)
    rows, columns = shape[0], prod(shape[1:])
    found = torch.empty((rows, columns), dtype=torch.float64 if is_double else torch.float32)
    _fill(tuned, ours, found.T if our_turn else found, take=False)
    _fill(base, theirs, found.T if their_turn else found, take=True)
    return found


def _fill(source: TensorSource, stretches: Sequence[Stretch], out: torch.Tensor, *, take: bool) -> None:
    """Put rows of tensors into `out`, or take them from what is there."""
    at = 0
    for one in stretches:
        step = max(1, _WINDOW // max(1, out.shape[1]))
        for low in range(0, one.count, step):
            high = min(low + step, one.count)
            rows = source.rows(one.tensor, one.start + low, one.start + high).reshape(high - low, -1)
            goal = out[at + low : at + high]
            if take:
                goal.sub_(rows.to(out.dtype))
            else:
                goal.copy_(rows)
        at += one.count
