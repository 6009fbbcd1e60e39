"""Samples: a few numbers of a tensor read without the rest, and how far two readings are apart in rounding steps.

A rounding step is the distance to the next number of a precision: 2^(exponent − mantissa bits), below the smallest
normal number that of the subnormal ones. Rounding to nearest moves a number by half a step at most.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from modelhub.formats.source import TensorSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Bytes per number, bits of its mantissa, exponent of its smallest subnormal (IEEE 754; OCP 8-bit formats 1.0).
PRECISIONS: dict[str, tuple[int, int, int]] = {
    "F64": (8, 52, -1074), "F32": (4, 23, -149), "F16": (2, 10, -24), "BF16": (2, 7, -133), "F8_E4M3": (1, 3, -9),
    "F8_E5M2": (1, 2, -16),
}  # fmt: skip


def read_numbers(source: TensorSource, name: str, start: int, count: int) -> Floats:
    """`count` numbers of a tensor from element `start` on, as float64; its dtype is one of `PRECISIONS`.

    Raises FileError when the bytes cannot be had.
    """
    dtype = source.info(name).dtype
    size = PRECISIONS[dtype][0]
    buffer = bytearray(count * size)
    source.read_into(name, start * size, memoryview(buffer))
    return decode(dtype, buffer)


def decode(dtype: str, data: bytes | bytearray | memoryview) -> Floats:
    """The numbers in the bytes of a file, as float64: every precision fits in it exactly."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # a NaN that signals is a NaN
        wide: Floats = numbers(dtype, data).astype(np.float64)
    return wide


def numbers(dtype: str, data: bytes | bytearray | memoryview) -> NDArray[np.floating[Any]]:
    """The same in the narrowest float of numpy that holds the precision; of the memory of `data` where that is it."""
    import numpy as np

    found: NDArray[np.floating[Any]]
    if dtype == "BF16":
        found = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    elif PRECISIONS[dtype][0] == 1:
        found = _fp8(dtype)[np.frombuffer(data, "u1")]
    else:
        found = np.frombuffer(data, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
    return found


@cache
def _fp8(dtype: str) -> NDArray[np.float32]:
    """The numbers of all 256 bytes. E5M2 is the upper half of fp16.

    E4M3 has a sign, 4 bits of exponent with bias 7, and 3 of mantissa; all ones is NaN, and there is no infinity.
    """
    import numpy as np

    codes = np.arange(256)
    if dtype == "F8_E5M2":
        return (codes << 8).astype("<u2").view("<f2").astype(np.float32)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    size = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7))
    size[(codes & 127) == 127] = np.nan
    return np.where(codes < 128, size, -size).astype(np.float32)


def coarser(one: str, two: str) -> str:
    """The dtype of the two with fewer bits of mantissa."""
    return min(one, two, key=lambda dtype: PRECISIONS[dtype][1])


def steps(one: Floats, two: Floats, dtype: str) -> Floats:
    """How far numbers are apart, in rounding steps of `dtype` at the larger of each two.

    0 for equal ones, also two NaN; infinite where only one is finite.
    """
    import numpy as np

    _, bits, least = PRECISIONS[dtype]
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.maximum(np.abs(one), np.abs(two)))
        apart = np.ldexp(np.abs(one - two), -np.maximum(exponent - 1 - bits, least))
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    found: Floats = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return found
