"""Sums over a tensor that everything else is computed from: products of differences, and what rounding must have added.

For a merge M and parents P0 … Pk-1 the vectors are P0, D1 = P1 − P0, …, Dk-1, and E = M − P0. Differences, because the
models share most of what they are: products of the weights themselves would agree in all digits but the last ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from modelhub.formats.source import TensorSource, torch_dtype
from modelhub.merge.engine.scratch import Scratch
from modelhub.merge.explain.roll import Shared

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Bits of the fraction that a dtype keeps, and the exponent of its smallest normal number.
PRECISION = {"F8_E5M2": (2, -14), "F8_E4M3": (3, -6), "BF16": (7, -126), "F16": (10, -14), "F32": (23, -126)}
_F64 = (52, -126)
#: Mean of (ulp² / 12) / x² over numbers x whose logarithms are spread evenly, for an ulp of 1 at x = 1.
SPREAD = 0.462 / 12
_EXPONENT = 0x7F800000
#: Elements that are read at once.
WINDOW = 64 * 1024
#: Elements whose products are added in fp32 before fp64 takes over, and the share of |E|² that rounding must be for it.
_CHUNK, _FAST = 1024, 1e-5
#: What sums of products of one and the same number may differ in.
_SAME = 1e-12
#: Its own: a model that is read may be a merge that is computed in the engine's.
_BUFFERS = Scratch()


@dataclass(frozen=True)
class Sums:
    """What was summed over `elements` of `parents`: `gram` (k + 1, k + 1) fp64 of the vectors P0, D1 … Dk-1, E.

    `rounding`: the square that rounding of the merge to its own precision must be of, in the same sum; `coarse`: the
    same of each parent. `same`: whether the merge equals a parent in all of them.
    """

    parents: tuple[int, ...]
    elements: int
    gram: Array
    rounding: float
    coarse: Array
    same: tuple[bool, ...]

    @property
    def finite(self) -> bool:
        """Whether no model had a NaN or an infinity."""
        import numpy as np

        return bool(np.isfinite(self.gram).all())

    @property
    def size(self) -> float:
        """|M|²."""
        return float(self.gram[0, 0] + 2 * self.gram[0, -1] + self.gram[-1, -1])

    def same_parents(self, one: int, other: int) -> bool:
        """Whether two parents are the same here."""
        first, second = self._vector(one), self._vector(other)
        size = float(first @ self.gram @ first + second @ self.gram @ second)
        return float((first - second) @ self.gram @ (first - second)) <= _SAME * size

    def _vector(self, parent: int) -> Array:
        """A parent less P0, as a combination of the vectors."""
        import numpy as np

        vector = np.zeros(len(self.gram))
        if parent:
            vector[parent] = 1.0
        return vector

    def __add__(self, other: Sums) -> Sums:
        """The sums over both; of the same parents."""
        same = tuple(one and two for one, two in zip(self.same, other.same, strict=True))
        return Sums(
            self.parents,
            self.elements + other.elements,
            self.gram + other.gram,
            self.rounding + other.rounding,
            self.coarse + other.coarse,
            same,
        )


def total(parts: Iterable[Sums]) -> Sums:
    """The sums over all of one or more parts."""
    first, *rest = parts
    for part in rest:
        first += part
    return first


def measure(shared: Shared, merge: TensorSource, parents: Sequence[TensorSource], most: int | None = None) -> Sums:
    """Read one tensor of the merge and of all its parents once, and sum; at most `most` windows of it, spread evenly.

    Memory is a few windows. Raises FileError.
    """
    import numpy as np

    names = (shared.spot.full, *shared.theirs)
    sources = (merge, *(parents[i] for i in shared.parents))
    kinds = [source.info(name).dtype for source, name in zip(sources, names, strict=True)]
    summing = _Summing(kinds)
    _BUFFERS.restart()
    for values in _windows(shared, sources, names, kinds, most):
        summing.add(values)
        _BUFFERS.restart()
    gram = summing.gram.numpy()
    norms = np.array([gram[0, 0] + (2 * gram[0, i] + gram[i, i] if i else 0.0) for i in range(len(gram) - 1)])
    coarse = norms * np.array([SPREAD * 4.0**-bits for bits in summing.bits[1:]])
    return Sums(shared.parents, summing.elements, gram, summing.rounding, coarse, tuple(summing.same))


def _windows(
    shared: Shared,
    sources: Sequence[TensorSource],
    names: Sequence[str],
    kinds: Sequence[str],
    most: int | None,
) -> Iterator[list[torch.Tensor]]:
    """The values of the merge and of each parent, window by window, in the dtypes of the files."""
    import torch

    if shared.channels is not None:
        cut = [s.tensor(n)[:, : shared.channels].reshape(-1) for s, n in zip(sources, names, strict=True)]
        yield from (list(parts) for parts in zip(*(tensor.split(WINDOW) for tensor in cut), strict=True))
        return
    count = prod(sources[0].info(names[0]).shape)
    for start in _starts(count, most):
        size = min(WINDOW, count - start)
        values = [_BUFFERS.take().tensor(torch_dtype(kind), size) for kind in kinds]
        for source, name, value in zip(sources, names, values, strict=True):
            source.read_into(name, start * value.element_size(), value.view(torch.uint8).numpy().data)
        yield values


def _starts(count: int, most: int | None) -> Iterable[int]:
    every = range(0, count, WINDOW)
    return every if most is None or len(every) <= most else [every[i * len(every) // most] for i in range(most)]


class _Summing:
    """The sums of one tensor while it is read."""

    def __init__(self, kinds: Sequence[str]) -> None:
        import torch

        self.kinds = kinds
        self.dtype = torch.float64 if "F64" in kinds else torch.float32
        self.gram = torch.zeros(len(kinds), len(kinds), dtype=torch.float64)
        self.rounding, self.elements = 0.0, 0
        self.same = [True] * (len(kinds) - 1)
        self.bits: list[int] = []
        self._fast = False

    def add(self, raw: Sequence[torch.Tensor]) -> None:
        """Add one window: the values of the merge, and of each parent."""
        import torch

        size = len(raw[0])
        vectors = _BUFFERS.take().tensor(self.dtype, len(raw) * size).view(len(raw), size)
        for row, value in zip(vectors, (*raw[1:], raw[0]), strict=True):
            row.copy_(value)
        if not self.bits:
            self.bits = [_bits(kind, row) for kind, row in zip(self.kinds, (vectors[-1], *vectors[:-1]), strict=True)]
        self.same = [s and torch.equal(vectors[-1], row) for s, row in zip(self.same, vectors[:-1], strict=True)]
        self.rounding += self._rounded(vectors[-1])
        vectors[1:].sub_(vectors[0])
        self.gram += _products(vectors, fast=self._fast)
        self.elements += size
        # only where the merge is rounded so coarsely that the last digits of the products do not matter
        self._fast = self.dtype == torch.float32 and self.rounding >= _FAST * float(self.gram[-1, -1])

    def _rounded(self, merge: torch.Tensor) -> float:
        """The sum of ulp² / 12, the variance of a number's rounding."""
        import torch

        least = 2.0 ** PRECISION.get(self.kinds[0], _F64)[1]
        power = _BUFFERS.take().tensor(torch.float32, len(merge)).copy_(merge)
        power.view(torch.int32).bitwise_and_(_EXPONENT)  # without sign and fraction: the power of two below
        power.clamp_(min=least)
        return float(torch.dot(power, power)) * 4.0 ** -self.bits[0] / 12


def _products(vectors: torch.Tensor, *, fast: bool) -> torch.Tensor:
    """Products of each row with each, summed in fp64; `fast`: stretches of them in fp32."""
    import torch

    whole = vectors.shape[1] // _CHUNK * _CHUNK if fast else 0
    rest = _BUFFERS.take().tensor(torch.float64, vectors[:, whole:].numel()).view(len(vectors), -1)
    rest.copy_(vectors[:, whole:])
    found = rest @ rest.T
    if whole:
        pieces = vectors[:, :whole].reshape(len(vectors), -1, _CHUNK)
        found += torch.bmm(pieces.transpose(0, 1), pieces.permute(1, 2, 0)).double().sum(0)
    return found


def _bits(kind: str, values: torch.Tensor) -> int:
    """Bits of the fraction that these numbers use: a file in F32 may hold what was rounded to fp16 or bf16 before."""
    import torch

    stored = PRECISION.get(kind, _F64)[0]
    if kind == "F64":
        return stored
    fractions = values.view(torch.int32)
    for bits in (7, 10):
        if bits < stored and not bool((fractions & ((1 << (23 - bits)) - 1)).any()):
            return bits
    return stored


def equal(name: str, merge: TensorSource, theirs: str, parent: TensorSource) -> bool:
    """Whether a tensor beside the weights is the same, value by value."""
    import torch

    one, two = merge.info(name), parent.info(theirs)
    if (one.shape, one.dtype) != (two.shape, two.dtype):
        return False
    step, size = 1 << 20, one.nbytes
    for start in range(0, size, step):
        pair: list[Any] = [torch.empty(min(step, size - start), dtype=torch.uint8) for _ in range(2)]
        merge.read_into(name, start, pair[0].numpy().data)
        parent.read_into(theirs, start, pair[1].numpy().data)
        if not torch.equal(*pair):
            return False
    return True
