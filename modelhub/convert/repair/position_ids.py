"""position_ids: the buffer of CLIP that counts positions. Merges that average it leave 75 twice and 76 nowhere.

It should be the integers 0 to n-1 as I64 [1, n], with n the rows of the position embedding beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from modelhub.formats.header import FLOAT_DTYPES
from modelhub.formats.samples import PRECISIONS, decode
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Held

_ENDING, _EMBEDDING = "position_ids", "position_embedding.weight"
_INTEGERS = {
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"
}  # fmt: skip
#: No CLIP has longer prompts; a header may claim anything.
_MOST = 2**16


@dataclass(frozen=True, slots=True)
class Positions:
    """One damaged buffer: `length` it should have, how many values are `wrong`, and its dtype and shape in the file."""

    name: str
    length: int
    wrong: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def words(self) -> str:
        """What is wrong with it."""
        said = [f"{self.wrong} of {self.length} values are wrong"] if self.wrong else []
        if self.dtype in FLOAT_DTYPES:
            said.append(f"stored as {self.dtype}")
        if self.shape[-1:] != (self.length,) or prod(self.shape) != self.length:
            said.append(f"its shape is {list(self.shape)}")
        return ", ".join(said)


def damaged_positions(source: TensorSource) -> Iterator[Positions]:
    """Every position_ids that is not what it should be; those without a position embedding beside them are left alone.

    Reads these buffers only.
    """
    for name, info in source.header.tensors.items():
        if name.rpartition(".")[2] != _ENDING:
            continue
        beside = source.header.tensors.get(name.removesuffix(_ENDING) + _EMBEDDING)
        if beside is None or not beside.shape or not 0 < beside.shape[0] <= _MOST:
            continue
        found = Positions(name, beside.shape[0], _wrong(source, name, beside.shape[0]), info.dtype, info.shape)
        if found.words:
            yield found


def _wrong(source: TensorSource, name: str, length: int) -> int:
    """How many values are not their position; of a buffer of another shape, its values are not looked at."""
    import numpy as np

    info = source.info(name)
    if info.numel != length:
        return 0
    data = source.read_bytes(name)
    if info.dtype in _INTEGERS:
        values = np.frombuffer(data, _INTEGERS[info.dtype])
    elif info.dtype in PRECISIONS:
        values = decode(info.dtype, data)
    else:
        return length
    return int((values != np.arange(length)).sum())


def right_positions(damaged: list[Positions]) -> Held:
    """The buffers as they should be."""
    return Held({one.name: ("I64", (1, one.length), _bytes(one.length)) for one in damaged})


def _bytes(length: int) -> bytes:
    return b"".join(at.to_bytes(8, "little") for at in range(length))
