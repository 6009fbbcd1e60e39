"""The header: names, shapes, dtypes and places of tensors, and the metadata; no tensor data."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from modelhub.errors import CorruptFileError, ModelError

#: Bits per element of every dtype that safetensors 0.8 knows, by its name in the file.
DTYPE_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

#: Elements per block and bytes per block of the block-quantised dtypes of GGUF, as the structs of ggml lay them out. No
#: safetensors file can hold them.
BLOCKS: dict[str, tuple[int, int]] = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 36),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
    "Q8_K": (256, 292), "IQ1_S": (256, 50), "IQ1_M": (256, 56), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82), "IQ3_XXS": (256, 98), "IQ3_S": (256, 110), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17), "NVFP4": (64, 36), "Q1_0": (128, 18), "Q2_0": (64, 18),
}  # fmt: skip

#: Dtypes that hold weights which can be averaged.
FLOAT_DTYPES = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})


def nbytes(dtype: str, shape: Iterable[int]) -> int:
    """Bytes that a tensor takes in a file; packed dtypes are rounded up to a whole byte or block."""
    if dtype in BLOCKS:
        elements, size = BLOCKS[dtype]
        return -(-prod(shape) // elements) * size
    return (prod(shape) * DTYPE_BITS[dtype] + 7) // 8


def element_bits(dtype: str) -> int:
    """Bits per element; 8 for blocks, whose bytes stand alone."""
    return DTYPE_BITS.get(dtype, 8)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a header: dtype ("F16", blocks "Q4_K"), shape, and where its data begins in the data area."""

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


class Columns(Mapping[str, TensorInfo]):
    """Name to TensorInfo, as a header has it: names, dtypes, shapes and begins side by side, rows made when asked."""

    def __init__(
        self, names: list[str], dtypes: list[str], shapes: list[tuple[int, ...]], begins: Sequence[int]
    ) -> None:
        self.names, self.dtypes, self.shapes = names, dtypes, shapes
        self.begins = begins

    @cached_property
    def sizes(self) -> list[int]:
        """Elements of each tensor."""
        return list(map(prod, self.shapes))

    @cached_property
    def _rows(self) -> dict[str, TensorInfo]:
        return dict(zip(self.names, map(TensorInfo, self.dtypes, self.shapes, self.begins), strict=True))

    def __getitem__(self, name: str) -> TensorInfo:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def items(self) -> ItemsView[str, TensorInfo]:
        """The rows with their names; those of a dict, which are faster."""
        return self._rows.items()

    def values(self) -> ValuesView[TensorInfo]:
        """The rows; those of a dict, which are faster."""
        return self._rows.values()


@dataclass(frozen=True)
class Header:
    """Everything a safetensors file says before its data: `tensors` in the order of their data, and string metadata.

    Files of other formats have the header that they would have as safetensors.
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
        for name, dtype, shape in sorted(wanted, key=lambda entry: -element_bits(entry[1])):
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
        """The bytes in front of the data: u64 little-endian length and JSON, padded with spaces to a multiple of 8.

        Raises ModelError for tensors in blocks, which safetensors has no dtype for.
        """
        table: dict[str, object] = {"__metadata__": dict(self.metadata)} if self.metadata else {}
        for name, info in self.tensors.items():
            if info.dtype in BLOCKS:
                raise _in_blocks(name, info.dtype)
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

    @cached_property
    def columns(self) -> Columns:
        """The tensors side by side: names, dtypes, shapes."""
        if isinstance(self.tensors, Columns):
            return self.tensors
        rows = self.tensors.values()
        return Columns(
            list(self.tensors), [row.dtype for row in rows], [row.shape for row in rows], [row.begin for row in rows]
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape."""
        return dict(zip(self.columns.names, self.columns.shapes, strict=True))

    @property
    def parameters(self) -> int:
        """Elements of all floating-point and block-quantised tensors together."""
        return sum(i.numel for i in self.tensors.values() if i.dtype in FLOAT_DTYPES or i.dtype in BLOCKS)

    def dtypes(self) -> dict[str, int]:
        """Dtype to number of elements, the most used first."""
        counts: dict[str, int] = {}
        for info in self.tensors.values():
            counts[info.dtype] = counts.get(info.dtype, 0) + info.numel
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _in_blocks(name: str, dtype: str) -> ModelError:
    return ModelError(
        f"Tensor {name[:200]!r} is stored in blocks of {dtype}, which a safetensors file cannot hold.",
        "Use a copy of the model in fp16, bf16 or fp8.",
    )
