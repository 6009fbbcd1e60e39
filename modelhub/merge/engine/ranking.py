"""The k-th largest magnitude of a tensor that is read in windows: guessed from a sample, then proven by counting.

A sample tells between which two numbers it lies, all but surely. Going through all windows, those above are counted and
the few in between are kept, among which it is found exactly; where the guess was wrong, the counts tell on which side.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

from modelhub.merge.registry import Windows

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    #: Bits of magnitudes as integers, which are in the same order; NaN is above all.
    Bits = NDArray[Any]

#: Windows that the first guess is made from, and numbers of them.
_SOME, _SAMPLE = 32, 1 << 17
#: Numbers between the guesses that are kept.
_MOST = 1 << 22
#: Where there are more, every so manieth stays: prime to the usual sizes of tensors, or all were of a few columns.
_THIN = 7
#: The share of the numbers that a guess leaves on either side, as a sample is not the whole.
_MARGIN = 0.015


def kth_magnitudes(windows: Windows, k: int, *, base: int | None = None) -> tuple[float, ...]:
    """The k-th largest magnitude of each input, exactly; with `base`, of the others' differences from that one.

    `k` counts from 1; the differences are taken in the windows' own dtype. NaN counts as larger than any number.
    Tensors without elements have (). Goes through some windows, then through all of them, and seldom once more; keeps
    4 Mi numbers of each input at most.
    """
    some = windows.some(_SOME)
    searches: list[_Search] = []
    _look(some, base, searches, _SAMPLE)
    for search in searches:
        search.judge(k, search.seen if some is windows else prod(windows.shape), is_whole=some is windows)
    while any(search.found is None for search in searches):
        _look(windows, base, searches, _MOST)
        for search in searches:
            if search.found is None:
                search.judge(k, search.seen, is_whole=True)
    return tuple(search.number() for search in searches)


def _look(windows: Iterable[tuple[torch.Tensor, ...]], base: int | None, searches: list[_Search], most: int) -> None:
    """Have every search that has not ended look at all windows."""
    for search in searches:
        search.restart()
    for window in windows:
        inputs = [i for i in range(len(window)) if i != base]
        for place, i in enumerate(inputs):
            if place == len(searches):
                searches.append(_Search(window[i].dtype))
            if searches[place].found is None:
                difference = window[i] if base is None else window[i] - window[base]
                searches[place].look(_bits(difference), most)


def _bits(values: torch.Tensor) -> Bits:
    """The bits of each magnitude."""
    import torch

    found: Bits = values.abs().reshape(-1).view(torch.int64 if values.dtype == torch.float64 else torch.int32).numpy()
    return found


class _Search:
    """One input's: the number lies from `floor` to `ceiling`, and from `low` to `high` if that is guessed well."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.found: int | None = None
        self._dtype = dtype
        self._unsigned = f"uint{8 * dtype.itemsize}"
        self._all = 0, 2 ** (8 * dtype.itemsize - 1) - 1
        self._floor, self._ceiling = self._low, self._high = self._all
        self.restart()

    def restart(self) -> None:
        """The windows begin anew."""
        self.seen = self._above = self._inside = 0
        self._kept: list[Bits] = []
        self._count, self._step = 0, 1

    def look(self, bits: Bits, most: int) -> None:
        """Count those above the guess, and keep those within it, or a regular part of them."""
        import numpy as np

        self.seen += len(bits)
        if (self._low, self._high) != self._all:
            self._above += int(np.count_nonzero(bits > self._high))
            within = (bits - self._low).view(self._unsigned) <= self._high - self._low  # what is less becomes huge
            bits = bits[within]
        first = -self._inside % self._step
        self._inside += len(bits)
        self._kept.append(bits[first :: self._step].copy())
        self._count += len(self._kept[-1])
        while self._count > most:
            thinned = np.concatenate(self._kept)[::_THIN].copy()
            self._kept, self._count, self._step = [thinned], len(thinned), self._step * _THIN

    def judge(self, k: int, size: int, *, is_whole: bool) -> None:
        """All windows, or the first `seen` of `size` numbers, were looked at: find it, or guess better."""
        import numpy as np

        values = np.sort(np.concatenate(self._kept))
        rank = k - self._above
        if not is_whole:
            self._guess(values, k / size)
        elif rank < 1:
            self._floor = self._low = self._high + 1
            self._high = self._ceiling
        elif rank > self._inside:
            self._ceiling = self._high = self._low - 1
            self._low = self._floor
        elif self._step == 1 or self._low == self._high:
            self.found = int(values[-rank]) if self._step == 1 else self._low
        else:
            self._floor, self._ceiling = self._low, self._high
            self._guess(values, rank / self._inside)

    def _guess(self, values: Bits, share: float) -> None:
        """Near that share of the sorted `values`, from the largest; the upper half of all where that is no less."""
        last = len(values) - 1
        low, high = (int(last - last * (share + side * _MARGIN)) for side in (1, -1))
        self._low = int(values[low]) if low >= 0 else self._floor
        self._high = int(values[high]) if high <= last else self._ceiling
        if (self._low, self._high) == (self._floor, self._ceiling) and self._low < self._high:
            self._low = (self._low + self._high) // 2 + 1

    def number(self) -> float:
        """What was found."""
        import torch

        whole = torch.int64 if self._dtype == torch.float64 else torch.int32
        return float(torch.tensor(self.found, dtype=whole).view(self._dtype))
