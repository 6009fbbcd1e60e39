"""TensorSource: the lazy mapping from names to tensors that everything in modelhub reads from.

A file is a source, and so is every view: a merge that has not been written, a checkpoint with another VAE. A source has
a `header` and can fill a buffer with any stretch of any tensor; all else follows from these two.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.errors import NotFoundError
from modelhub.formats.closing import Closing
from modelhub.formats.header import Header, TensorInfo, element_bits

if TYPE_CHECKING:
    import torch

_TORCH_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of a safetensors dtype name. Raises NotFoundError for one that torch lacks (F4, F6)."""
    import torch

    if name not in _TORCH_NAMES:
        raise NotFoundError(f"torch has no dtype for {name}.", "Convert the file to another precision first.")
    found: torch.dtype = getattr(torch, _TORCH_NAMES[name])
    return found


class Place(NamedTuple):
    """Where bytes stand: from `offset` on in the file that is open as `descriptor`."""

    descriptor: int
    offset: int


class Record(NamedTuple):
    """`size` bytes at a place, and the CRC-32 that the file itself keeps of them."""

    place: Place
    size: int
    crc: int


class TensorSource(Closing):
    """Names to tensors, read when asked.

    `header` is known before any data moves; `read_into` is safe from several threads.
    """

    header: Header

    @abstractmethod
    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes of tensor `name` from byte `offset` of that tensor on.

        Raises NotFoundError for an unknown name, FileError when the bytes cannot be had.
        """

    def place(self, name: str) -> Place | None:
        """Where the bytes of tensor `name` stand just as they will be written; None where they have to be made.

        Raises NotFoundError for an unknown name.
        """
        self.info(name)
        return None

    def crc32(self, name: str) -> int | None:
        """The CRC-32 that the file itself keeps of just the bytes of tensor `name`; None where it keeps none."""
        self.info(name)
        return None

    def records(self, name: str) -> tuple[Record, ...]:
        """What the file itself keeps checksums of and tensor `name` is read or made from, whole or in part."""
        self.info(name)
        return ()

    def grain(self, name: str) -> int:
        """Bytes of tensor `name` that are best read by one thread, in order: less of them costs as much to make.

        Grains are counted from the beginning of the tensor; what is read does not depend on them.
        """
        return element_size(self.info(name))

    def file_of(self, name: str) -> Path | None:
        """The file that tensor `name` is read from, to name it in messages; None where it is made of several, or none.

        A source that is one file says so by its `path`.
        """
        self.info(name)
        return getattr(self, "path", None)

    def origin(self, name: str) -> Hashable:
        """What tensor `name` is made of: where two origins are equal, whatever the sources, so are the bytes.

        Equal bytes may have different origins. Raises NotFoundError for an unknown name.
        """
        self.info(name)
        return (self, name)

    def close(self) -> None:
        """Let go of files; reading afterwards is an error."""

    def info(self, name: str) -> TensorInfo:
        """The header's entry of `name`. Raises NotFoundError."""
        try:
            return self.header.tensors[name]
        except KeyError:
            raise NotFoundError(
                f"There is no tensor {name!r} here.", "List the names with `modelhub inspect FILE --tensors`."
            ) from None

    def within(self, name: str, offset: int, size: int) -> TensorInfo:
        """The header's entry of `name`. Raises NotFoundError, IndexError when the tensor does not have these bytes."""
        info = self.info(name)
        if offset < 0 or offset + size > info.nbytes:
            raise IndexError(f"bytes {offset} to {offset + size} of tensor {name!r}, which has {info.nbytes}")
        return info

    def read_bytes(self, name: str) -> bytes:
        """All data of one tensor, as the bytes of a file."""
        buffer = bytearray(self.info(name).nbytes)
        self.read_into(name, 0, memoryview(buffer))
        return bytes(buffer)

    def tensor(self, name: str) -> torch.Tensor:
        """One whole tensor, in its own memory, with the shape and dtype of the header."""
        return self._load(name, 0, self.info(name).shape)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """`tensor(name)[start:stop]` along the first dimension, reading only those rows.

        Raises NotFoundError unless 0 <= start <= stop <= shape[0].
        """
        info = self.info(name)
        if not info.shape or not 0 <= start <= stop <= info.shape[0]:
            raise NotFoundError(f"Tensor {name!r} of shape {list(info.shape)} has no rows {start} to {stop}.")
        row_bytes = info.nbytes // info.shape[0] if info.shape[0] else 0
        return self._load(name, start * row_bytes, (stop - start, *info.shape[1:]))

    def _load(self, name: str, offset: int, shape: tuple[int, ...]) -> torch.Tensor:
        import torch

        out = torch.empty(shape, dtype=torch_dtype(self.info(name).dtype))
        if out.numel():
            flat = out.reshape(-1).view(torch.uint8).numpy()
            self.read_into(name, offset, flat.data)
        return out

    def read_range(self, offset: int, size: int) -> bytes:
        """Any byte range of the file that this source would become; touches only the tensors it covers.

        Shorter than `size` at the end of the file, as `os.pread` is.
        """
        header = self.header
        stop = min(offset + size, header.file_size)
        out = bytearray(max(0, stop - offset))
        _overlay(out, offset, header.encoded if not header.start else self._head(), 0)
        for name, info in header.tensors.items():
            begin = header.data_start + info.begin
            low, high = max(begin, offset), min(begin + info.nbytes, stop)
            if low < high:
                self.read_into(name, low - begin, memoryview(out)[low - offset : high - offset])
        return bytes(out)

    def _head(self) -> bytes:
        """The bytes before the data area; a file answers with its own, which need not be laid out as ours."""
        return self.header.encoded


def _overlay(out: bytearray, offset: int, piece: bytes, at: int) -> None:
    low, high = max(at, offset), min(at + len(piece), offset + len(out))
    if low < high:
        out[low - offset : high - offset] = piece[low - at : high - at]


def element_size(info: TensorInfo) -> int:
    """Whole bytes per element; 1 for dtypes packed in bytes or blocks, which are never split into elements."""
    return max(1, element_bits(info.dtype) // 8)


def whole_elements(info: TensorInfo, offset: int, buffer: memoryview, fill: Callable[[int, memoryview], None]) -> None:
    """Fill `buffer` from byte `offset` of a tensor on by a `fill(start, view)` that makes whole elements only.

    `fill` is called once, or not at all for no bytes; elements that `buffer` has parts of are cut.
    """
    if not buffer:
        return
    size = element_size(info)
    start, before = divmod(offset, size)
    stop = -(-(offset + len(buffer)) // size)
    if len(buffer) == (stop - start) * size:
        fill(start, buffer)
    else:
        whole = memoryview(bytearray((stop - start) * size))
        fill(start, whole)
        buffer[:] = whole[before : before + len(buffer)]
