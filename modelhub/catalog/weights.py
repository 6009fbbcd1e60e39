"""How many elements a file has of each dtype, and how many parameters stand below each prefix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate, groupby

from modelhub.catalog.match import Names
from modelhub.formats.header import BLOCKS, FLOAT_DTYPES, Columns

#: Dtypes whose elements are parameters; packed integers are not, but for what `logical` says of them.
_WEIGHTS = FLOAT_DTYPES | BLOCKS.keys()


class Weights:
    """Counts of one file. `logical` gives the parameters of tensors that pack or accompany weights."""

    def __init__(self, names: Names, columns: Columns, logical: Mapping[str, int] | None = None) -> None:
        self._names = names
        runs = [(dtype, len(list(run))) for dtype, run in groupby(columns.dtypes)]
        self.dtypes, sizes = _by_dtype(runs, columns.sizes)
        if logical or columns.names != names.ordered:
            by_name = {**dict(zip(columns.names, sizes, strict=True)), **(logical or {})}
            sizes = list(map(by_name.__getitem__, names.ordered))
        self._sums = [0, *accumulate(sizes)]

    @property
    def total(self) -> int:
        """Parameters of the whole file."""
        return self._sums[-1]

    def below(self, prefix: str) -> tuple[int, int]:
        """How many tensors have that prefix, and how many parameters they hold."""
        begin, end = self._names.span(prefix)
        return end - begin, self._sums[end] - self._sums[begin]


def _by_dtype(runs: list[tuple[str, int]], sizes: list[int]) -> tuple[dict[str, int], list[int]]:
    """Elements by dtype, the most used first, and the sizes with 0 for what is no weight.

    Tensors of one dtype stand together in most files, so sums over runs are few.
    """
    counts: Counter[str] = Counter()
    weights = list(sizes)
    begin = 0
    for dtype, length in runs:
        counts[dtype] += sum(sizes[begin : begin + length])
        if dtype not in _WEIGHTS:
            weights[begin : begin + length] = [0] * length
        begin += length
    return dict(counts.most_common()), weights
