"""CUDA's random numbers without CUDA: Philox4x32-10 and Box-Muller, as `torch.randn` draws them on NVIDIA cards.

Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3". Key and counter are used as cuRAND uses them for one
draw of up to some hundred thousand numbers: the seed is the key, the counter holds the number of the draw and the place
in it. That is also what A1111 calls the noise source NV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_WORD, _BITS = 0xFFFFFFFF, np.uint64(32)
_LOW = np.uint64(_WORD)

# cuRAND has these two as float32 numbers; with them the rest is computed in float64, as A1111 does.
_UNIT = 2.0**-32
_TURN = float(np.float32(2.3283064e-10 * 6.2831855))

#: Numbers drawn at a time: few enough that all of Philox stays in the processor's cache, which makes it thrice as fast.
_PORTION = 16384


def philox(counter: Sequence[Words], key: int) -> tuple[Words, Words, Words, Words]:
    """Four words of 32 random bits for every counter: four arrays of one shape in, four out, all below 2^32.

    `key` is a number of 64 bits; its low word is the first of the key.
    """
    first, second, third, fourth = counter
    low, high = key & _WORD, key >> 32
    for _ in range(_ROUNDS):
        left, right = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first = (right >> _BITS) ^ second ^ np.uint64(low)
        third = (left >> _BITS) ^ fourth ^ np.uint64(high)
        second, fourth = right & _LOW, left & _LOW
        low, high = (low + _WEYL[0]) & _WORD, (high + _WEYL[1]) & _WORD
    return first, second, third, fourth


class PhiloxGenerator:
    """Standard normal numbers of one seed, one draw after another; seeds count modulo 2^64."""

    def __init__(self, seed: int) -> None:
        self._key = seed % 2**64
        self._draws = 0

    def randn(self, shape: Sequence[int]) -> npt.NDArray[np.float32]:
        """The next draw, in `shape`."""
        count = math.prod(shape)
        zero, draw = np.zeros(1, dtype=np.uint64), np.full(1, self._draws, dtype=np.uint64)
        self._draws += 1
        drawn = np.empty(count, dtype=np.float32)
        for start in range(0, count, _PORTION):
            places = np.arange(start, min(start + _PORTION, count), dtype=np.uint64)
            radius, angle, _, _ = philox((draw, zero, places, zero), self._key)
            drawn[start : start + _PORTION] = _normal(radius, angle)
        return drawn.reshape(tuple(shape))


def _normal(radius: Words, angle: Words) -> npt.NDArray[np.float64]:
    """Box and Muller 1958: sqrt(-2 ln u) sin(2 pi v), with u and v in the middles of 2^32 steps of 0..1.

    The cosine would be a second number; with one thread for each number cuRAND never uses it.
    """
    u, turned = radius * _UNIT + _UNIT / 2, angle * _TURN + _TURN / 2
    found: npt.NDArray[np.float64] = np.sqrt(-2 * np.log(u)) * np.sin(turned)
    return found
