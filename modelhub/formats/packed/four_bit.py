"""The 4-bit weights of bitsandbytes (nf4, fp4): two per byte, looked up in a table of 16, times a scale per block."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from modelhub.errors import CorruptFileError
from modelhub.formats.packed.scaled import read_floats, runs
from modelhub.formats.packed.view import Unpacking
from modelhub.formats.source import TensorSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.formats.packed.view import Floats

#: Bytes of a description, dimensions, elements of a block, and elements of a tensor.
_MAX_STATE, _MAX_RANK, _MAX_BLOCK, _TOO_LARGE = 4096, 8, 1 << 16, 2**48


@dataclass(frozen=True, slots=True)
class State:
    """What the file says of one packed tensor: its true shape, and the elements per block of weights and of scales.

    `offset` is added to nested scales, which are bytes themselves; `nested` is 0 where scales are plain floats.
    """

    shape: tuple[int, ...]
    block: int
    nested: int
    offset: float


class FourBit(Unpacking):
    """One tensor of nf4 or fp4. `name` is that of the packed bytes, `mark` that of the JSON about them.

    The small tables are read at once. Raises CorruptFileError for a description that contradicts the tensors.
    """

    def __init__(self, source: TensorSource, name: str, mark: str) -> None:
        self._source, self._name = source, name
        state = self._state = read_state(source, mark)
        self.shape, self.step = state.shape, state.block
        blocks = -(-prod(self.shape) // state.block)
        self._check("", "U8", -(-prod(self.shape) // 2))
        self._check(".quant_map", "F32", 16)
        self._check(".absmax", "U8" if state.nested else "F32", blocks)
        if state.nested:
            self._check(".nested_absmax", "F32", -(-blocks // state.nested))
            self._check(".nested_quant_map", "F32", 256)
            self._scales = read_floats(source, f"{name}.nested_quant_map", 0, 256)
        self._pairs = _pairs(read_floats(source, f"{name}.quant_map", 0, 16))

    def floats(self, start: int, stop: int) -> Floats:
        """Elements of whole blocks; the upper half of a byte comes first."""
        import numpy as np

        packed = _read_bytes(self._source, self._name, start // 2, -(-stop // 2))
        values = self._pairs[packed].view(np.float32)[: stop - start]
        first, last = start // self.step, -(-stop // self.step)
        with np.errstate(all="ignore"):
            return values * np.repeat(self._absmax(first, last), runs(start, stop, self.step))

    def _absmax(self, first: int, last: int) -> Floats:
        """The scales of blocks `first` to `last`."""
        import numpy as np

        name, nested = f"{self._name}.absmax", self._state.nested
        if not nested:
            return read_floats(self._source, name, first, last)
        if first == last:
            return np.empty(0, np.float32)
        codes = _read_bytes(self._source, name, first, last)
        outer = read_floats(self._source, f"{self._name}.nested_absmax", first // nested, -(-last // nested))
        scales = self._scales[codes] * np.repeat(outer, runs(first, last, nested))
        return scales + np.float32(self._state.offset)

    def _check(self, ending: str, dtype: str, numel: int) -> None:
        info = self._source.header.tensors.get(self._name + ending)
        if info is None or info.dtype != dtype or info.numel != numel:
            found = f"{info.dtype} {list(info.shape)}" if info else "missing"
            raise _fault(self._name, f"{self._name + ending!r} should have {numel} elements of {dtype}, and is {found}")


def read_state(source: TensorSource, mark: str) -> State:
    """What the JSON in tensor `mark` says. Raises CorruptFileError."""
    if source.info(mark).nbytes > _MAX_STATE:
        raise _fault(mark, "its description is too long")
    try:
        said = json.loads(source.read_bytes(mark))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise _fault(mark, "its description is no JSON object")
    nested = _block(said, "nested_blocksize", mark) if "nested_blocksize" in said else 0
    offset = said.get("nested_offset") if nested else 0.0
    if not isinstance(offset, float):
        raise _fault(mark, "the offset of its scales is no number")
    return State(_shape(said.get("shape"), mark), _block(said, "blocksize", mark), nested, offset)


def _shape(shape: Any, mark: str) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > _MAX_RANK:
        raise _fault(mark, "its shape is no list of sizes")
    sizes = tuple(_whole(size, mark) for size in shape)
    if prod(size or 1 for size in sizes) > _TOO_LARGE:
        raise _fault(mark, "its shape is too large")
    return sizes


def _whole(number: Any, mark: str) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _TOO_LARGE:
        return number
    raise _fault(mark, f"{str(number)[:40]!r} is no size")


def _block(said: dict[str, Any], key: str, mark: str) -> int:
    size = _whole(said.get(key), mark)
    if size % 2 or not 0 < size <= _MAX_BLOCK:
        raise _fault(mark, f"{size} is no size of a block")
    return size


def _pairs(table: Floats) -> NDArray[np.uint64]:
    """For each byte its two numbers, as one value of eight bytes."""
    import numpy as np

    codes = np.arange(256)
    pairs: NDArray[np.uint64] = np.stack([table[codes >> 4], table[codes & 15]], 1).reshape(-1).view(np.uint64)
    return pairs


def _read_bytes(source: TensorSource, name: str, start: int, stop: int) -> NDArray[np.uint8]:
    import numpy as np

    found = np.empty(stop - start, np.uint8)
    source.read_into(name, start, found.data)
    return found


def _fault(name: str, what: str) -> CorruptFileError:
    return CorruptFileError(
        f"The 4-bit weight {name[:200]!r} cannot be unpacked: {what}.", "Look for the fp16 or bf16 original."
    )
