"""Numbers that are none: one pass over all float tensors, by their bits, in memory that does not grow with the model.

A float is NaN or infinite when all bits of its exponent are set, so no float arithmetic is needed, and no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.formats.header import TensorInfo
from modelhub.formats.source import TensorSource, element_size, whole_elements
from modelhub.formats.views import Changed
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    import numpy as np

    Bits = np.ndarray[Any, np.dtype[Any]]

#: Bytes that are looked at together: they stay in the cache between being read and being looked at.
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Kind:
    """The bits of a float dtype without its sign: all of them, infinity (None if it has none), the largest number."""

    code: str
    magnitude: int
    infinity: int | None
    largest: int


#: Float dtypes by name; `F8_E4M3` has no infinity, and one pattern that is NaN.
KINDS = {
    "F16": Kind("<u2", 0x7FFF, 0x7C00, 0x7BFF),
    "BF16": Kind("<u2", 0x7FFF, 0x7F80, 0x7F7F),
    "F32": Kind("<u4", 0x7FFF_FFFF, 0x7F80_0000, 0x7F7F_FFFF),
    "F64": Kind("<u8", 2**63 - 1, 0x7FF0_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF),
    "F8_E5M2": Kind("u1", 0x7F, 0x7C, 0x7B),
    "F8_E4M3": Kind("u1", 0x7F, None, 0x7E),
}


@dataclass(frozen=True, slots=True)
class Health:
    """Elements of one tensor: NaN, +infinite, -infinite, at the largest number of its dtype; and whether all are 0."""

    nan: int = 0
    positive: int = 0
    negative: int = 0
    edge: int = 0
    zero: bool = True

    @property
    def damaged(self) -> int:
        """Elements that are no numbers."""
        return self.nan + self.positive + self.negative

    def __add__(self, other: Health) -> Health:
        return Health(
            self.nan + other.nan,
            self.positive + other.positive,
            self.negative + other.negative,
            self.edge + other.edge,
            self.zero and other.zero,
        )


def examine(source: TensorSource, names: Iterable[str], job: Job = QUIET) -> dict[str, Health]:
    """The health of those of the tensors `names` that are floats and of note: damaged, at the edge, or all 0.

    Reads every byte of them once. Raises what the source raises, CancelledError.
    """
    tensors = {name: info for name in names if (info := source.info(name)).dtype in KINDS and info.numel}
    found: dict[str, Health] = {}
    buffer = bytearray(_BLOCK)
    with job.phase("checking", sum(info.nbytes for info in tensors.values()), "bytes") as advance:
        for name, info in tensors.items():
            health = Health()
            for offset in range(0, info.nbytes, _BLOCK):
                view = memoryview(buffer)[: min(_BLOCK, info.nbytes - offset)]
                source.read_into(name, offset, view)
                health += _health(view, KINDS[info.dtype])
                advance(len(view), name)
            if health.damaged or health.edge or health.zero:
                found[name] = health
    return found


def _health(view: memoryview, kind: Kind) -> Health:
    """One block; almost every one is clean, which the largest magnitude in it tells."""
    import numpy as np

    bits: Bits = np.frombuffer(view, kind.code)
    sizes = bits & bits.dtype.type(kind.magnitude)
    most = int(sizes.max())
    if most < kind.largest:
        return Health(zero=most == 0)
    edge = int((sizes == kind.largest).sum())
    if kind.infinity is None:
        return Health(nan=int((sizes > kind.largest).sum()), edge=edge, zero=False)
    infinite, negative = sizes == kind.infinity, bits > kind.magnitude
    below = int((infinite & negative).sum())
    return Health(int((sizes > kind.infinity).sum()), int(infinite.sum()) - below, below, edge, zero=False)


class Cleaned(Changed):
    """A source in which some float tensors have 0 in place of what is no number; the others are passed through.

    Closing the view closes the source.
    """

    def __init__(self, source: TensorSource, names: Iterable[str]) -> None:
        super().__init__(source, frozenset(names), source.header)

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        whole_elements(info, offset, buffer, lambda start, view: self._clean(name, info, start, view))

    def _clean(self, name: str, info: TensorInfo, start: int, view: memoryview) -> None:
        import numpy as np

        self._source.read_into(name, start * element_size(info), view)
        kind = KINDS[info.dtype]
        bits: Bits = np.frombuffer(view, kind.code)
        bits[(bits & bits.dtype.type(kind.magnitude)) > kind.largest] = 0


def totals(found: Mapping[str, Health]) -> Health:
    """All counts together."""
    return sum(found.values(), Health())
