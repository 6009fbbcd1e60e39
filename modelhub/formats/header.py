"""The header: names, shapes, dtypes and places of tensors, and the metadata; no tensor data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from modelhub.errors import CorruptFileError

#: Bits per element of every dtype that safetensors 0.8 knows, by its name in the file.
DTYPE_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

#: Dtypes that hold weights which can be averaged.
FLOAT_DTYPES = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})


def nbytes(dtype: str, shape: Iterable[int]) -> int:
    """Bytes that a tensor takes in a file; sub-byte dtypes are packed, and rounded up to a whole byte."""
    return (prod(shape) * DTYPE_BITS[dtype] + 7) // 8


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a header: dtype (safetensors name, "F16"), shape, and where its data begins in the data area."""

    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return nbytes(self.dtype, self.shape)

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a scalar, 0 for an empty tensor."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Everything a safetensors file says before its data: `tensors` in the order of their data, and string metadata.

    `data_start` is the offset of the data area in the file. A header that was laid out by `Header.of` knows it too,
    before any file exists; two headers that encode to the same bytes put every byte at the same place.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    start: int = 0

    @classmethod
    def of(
        cls, entries: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
    ) -> Header:
        """Lay out (name, dtype, shape) entries one after another, widest elements first so that all stay aligned.

        The order within one element width is the order given. Raises CorruptFileError for a name given twice, and for
        one that no file can hold.
        """
        wanted = list(entries)
        tensors: dict[str, TensorInfo] = {}
        begin = 0
        for name, dtype, shape in sorted(wanted, key=lambda entry: -DTYPE_BITS[entry[1]]):
            tensors[name] = TensorInfo(dtype, tuple(shape), begin)
            begin += tensors[name].nbytes
        if len(tensors) != len(wanted):
            raise CorruptFileError("Two tensors have the same name.", "Rename one of them.")
        for name in tensors:
            if name == "__metadata__" or name != name.encode("utf-8", "replace").decode():
                raise CorruptFileError(f"{name!r} cannot be the name of a tensor in a safetensors file.", "Rename it.")
        return cls(tensors, dict(metadata or {}))

    @cached_property
    def encoded(self) -> bytes:
        """The bytes in front of the data: u64 little-endian length and JSON, padded with spaces to a multiple of 8."""
        table: dict[str, object] = {"__metadata__": dict(self.metadata)} if self.metadata else {}
        for name, info in self.tensors.items():
            table[name] = {
                "dtype": info.dtype, "shape": list(info.shape), "data_offsets": [info.begin, info.begin + info.nbytes]
            }  # fmt: skip
        text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    @property
    def data_start(self) -> int:
        """Offset of the data area in the file."""
        return self.start or len(self.encoded)

    @cached_property
    def data_size(self) -> int:
        """Bytes of the data area."""
        return max((info.begin + info.nbytes for info in self.tensors.values()), default=0)

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return self.data_start + self.data_size

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape."""
        return {name: info.shape for name, info in self.tensors.items()}

    @property
    def parameters(self) -> int:
        """Elements of all floating-point tensors together."""
        return sum(info.numel for info in self.tensors.values() if info.dtype in FLOAT_DTYPES)

    def dtypes(self) -> dict[str, int]:
        """Dtype to number of elements, the most used first."""
        counts: dict[str, int] = {}
        for info in self.tensors.values():
            counts[info.dtype] = counts.get(info.dtype, 0) + info.numel
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
