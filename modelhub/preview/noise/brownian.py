"""Brownian motion that can be asked for any stretch of the way, in any order, and always gives the same answer.

A virtual Brownian tree (Li et al. 2020, "Scalable Gradients for Stochastic Differential Equations", appendix E): the
way is halved again and again, and every half knows its own seed, so only the path down to the asked ends is drawn. The
tree, its seeds and its grid of a millionth are those of torchsde, which k-diffusion's SDE samplers draw from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce

import numpy as np
import torch
from torch import Tensor

#: A seed -> standard normal noise; the same for the same seed.
Draw = Callable[[int], Tensor]

_DIGITS = 6
_POOL = 24
#: Halvings whose noise is kept for the next question, which is nearly always close by.
_KEPT = 72


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A piece of the way: the `index`th from the left of those that are halved `depth` times."""

    start: float
    end: float
    index: int = 0
    depth: int = 0


class BrownianTree:
    """One Brownian motion from `start` to `end`, decided by `entropy` >= 0 and how `draw` turns seeds into noise."""

    def __init__(self, start: float, end: float, entropy: int, draw: Draw) -> None:
        self._whole = _Stretch(round(start, _DIGITS), round(end, _DIGITS))
        self._length = end - start
        self._noise = lru_cache(maxsize=_KEPT)(partial(_noise_of, entropy, draw))

    def increment(self, start: float, end: float) -> Tensor:
        """How far the motion gets from `start` to `end` >= `start`; beyond the ends of the way it stands still."""
        low, high = (round(self._inside(time), _DIGITS) for time in (start, end))
        total = self._noise() * math.sqrt(self._length)
        if low == high:
            return torch.zeros_like(total)
        return reduce(torch.add, self._pieces(self._whole, total, low, high))

    def _inside(self, time: float) -> float:
        return min(max(time, self._whole.start), self._whole.end)

    def _pieces(self, stretch: _Stretch, moved: Tensor, low: float, high: float) -> Iterator[Tensor]:
        """The increments of the largest stretches that together are `low` to `high`, from left to right."""
        if (low, high) == (stretch.start, stretch.end):
            yield moved
            return
        middle = round(0.5 * (stretch.end + stretch.start), _DIGITS)
        first = self._first_half(stretch, middle, moved)
        if low < middle:
            left = _Stretch(stretch.start, middle, 2 * stretch.index, stretch.depth + 1)
            yield from self._pieces(left, first, low, min(high, middle))
        if high > middle:
            right = _Stretch(middle, stretch.end, 2 * stretch.index + 1, stretch.depth + 1)
            yield from self._pieces(right, moved - first, max(low, middle), high)

    def _first_half(self, stretch: _Stretch, middle: float, moved: Tensor) -> Tensor:
        """The increment up to `middle`, given that of the whole stretch: a Brownian bridge (Levy 1948)."""
        share = 1 / (stretch.end - stretch.start)
        before, after = middle - stretch.start, stretch.end - middle
        noise = self._noise(stretch.index, stretch.depth)
        return before * moved * share + math.sqrt(before * after * share) * noise


def _noise_of(entropy: int, draw: Draw, *place: int) -> Tensor:
    """The noise at the middle of the stretch (index, depth), or of the end of the way."""
    sequence = np.random.SeedSequence(entropy, spawn_key=place, pool_size=_POOL)
    return draw(int(sequence.generate_state(1)[0]))


def brownian_path(trees: Sequence[BrownianTree], device: torch.device, dtype: torch.dtype) -> Callable[..., Tensor]:
    """Noise [N, ...] of variance one for SDE samplers, from the tree of every picture: (sigma, following) -> noise.

    Sigmas are taken as float32, as A1111's are: an error in the last place is another leaf of the tree.
    """

    def path(sigma: float, following: float) -> Tensor:
        begin, end = torch.tensor(sigma, dtype=torch.float32), torch.tensor(following, dtype=torch.float32)
        low, high = sorted((begin.item(), end.item()))
        sign = 1 if begin < end else -1
        moved = torch.stack([tree.increment(low, high) for tree in trees]) * sign
        return (moved / (end - begin).abs().sqrt().to(moved.device)).to(device, dtype)

    return path
