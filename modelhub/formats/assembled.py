"""Views that make tensors of stretches of others, and turn matrices: layouts differ in how they cut weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modelhub.errors import IncompatibleError
from modelhub.formats.header import Header, TensorInfo
from modelhub.formats.source import Place, Record, TensorSource
from modelhub.formats.views import Changed

#: Bytes of a matrix that are read at once to turn it.
_STRIP = 4 << 20
_ELEMENTS = {
    "F64": "u8", "I64": "u8", "U64": "u8", "F32": "u4", "I32": "u4", "U32": "u4", "F16": "u2", "BF16": "u2",
    "I16": "u2", "U16": "u2", "F8_E4M3": "u1", "F8_E5M2": "u1", "I8": "u1", "U8": "u1", "BOOL": "u1",
}  # fmt: skip


class Piece(NamedTuple):
    """`size` bytes of the tensor `name`, from byte `offset` of it on."""

    name: str
    offset: int
    size: int


class Made(NamedTuple):
    """A tensor made of pieces, one after another."""

    dtype: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]


class Assembled(TensorSource):
    """Tensors made of pieces of those of `source`: renamed, reshaped, joined or cut, no byte of them changed.

    Closing the view closes the source. Raises NotFoundError for a piece of a tensor that is not there, ValueError for
    pieces that do not fill their tensor.
    """

    def __init__(
        self, source: TensorSource, tensors: Mapping[str, Made], metadata: Mapping[str, str] | None = None
    ) -> None:
        self._source = source
        self._pieces = {name: made.pieces for name, made in tensors.items()}
        self.header = Header.of(((name, made.dtype, made.shape) for name, made in tensors.items()), metadata)
        for name, pieces in self._pieces.items():
            fits = all(0 <= one.offset <= source.info(one.name).nbytes - one.size for one in pieces)
            if not fits or sum(one.size for one in pieces) != self.info(name).nbytes:
                raise ValueError(f"the pieces of {name!r} do not make up its {self.info(name).nbytes} bytes")

    def made_of(self, name: str) -> tuple[str, ...]:
        """The tensors of the source that `name` has pieces of. Raises NotFoundError if unknown."""
        self.info(name)
        return tuple(dict.fromkeys(piece.name for piece in self._pieces[name]))

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of the pieces. Raises what the source raises, NotFoundError if unknown."""
        self.within(name, offset, len(buffer))
        for piece, skip, part in self._stretches(name, offset, buffer):
            self._source.read_into(piece.name, piece.offset + skip, part)

    def _stretches(self, name: str, offset: int, buffer: memoryview) -> Iterator[tuple[Piece, int, memoryview]]:
        """Each piece that `buffer` needs, how many bytes of it to leave out first, and where the rest goes."""
        begin = 0
        for piece in self._pieces[name]:
            low, high = max(begin, offset), min(begin + piece.size, offset + len(buffer))
            if low < high:
                yield piece, low - begin, buffer[low - offset : high - offset]
            begin += piece.size

    def place(self, name: str) -> Place | None:
        """Where the source has it, if it is of one piece."""
        self.info(name)
        if len(self._pieces[name]) != 1:
            return None
        piece = self._pieces[name][0]
        found = self._source.place(piece.name)
        return found and Place(found.descriptor, found.offset + piece.offset)

    def crc32(self, name: str) -> int | None:
        """What the source knows, if it is one whole tensor of it."""
        nbytes = self.info(name).nbytes
        piece = self._pieces[name][0] if len(self._pieces[name]) == 1 else None
        whole = piece is not None and self._source.info(piece.name).nbytes == nbytes
        return self._source.crc32(piece.name) if piece is not None and whole else None

    def records(self, name: str) -> tuple[Record, ...]:
        """Those of the tensors that its pieces are of."""
        self.info(name)
        return tuple(record for piece in self._pieces[name] for record in self._source.records(piece.name))

    def file_of(self, name: str) -> Path | None:
        """The file that all its pieces are of, if it is one."""
        self.info(name)
        files = {self._source.file_of(piece.name) for piece in self._pieces[name]}
        return files.pop() if len(files) == 1 else None

    def origin(self, name: str) -> Hashable:
        """Those of its pieces."""
        self.info(name)
        return tuple((self._source.origin(piece.name), piece.offset, piece.size) for piece in self._pieces[name])

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Transposed(Changed):
    """`source` with some of its matrices turned: rows become columns. Only a strip of one is in memory at a time.

    Closing the view closes the source. Raises IncompatibleError for a tensor that is no matrix of whole bytes.
    """

    def __init__(self, source: TensorSource, names: Iterable[str]) -> None:
        turned = frozenset(names)
        for name in turned:
            info = source.info(name)
            if len(info.shape) != 2 or info.dtype not in _ELEMENTS:
                raise IncompatibleError(
                    f"The tensor {name!r} ({info.dtype}, {list(info.shape)}) is not a matrix that can be turned.",
                    "Convert the file to another precision first.",
                )
        entries = (
            (name, info.dtype, info.shape[::-1] if name in turned else info.shape)
            for name, info in source.header.tensors.items()
        )
        super().__init__(source, turned, Header.of(entries, source.header.metadata))

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        if not buffer:
            return
        row = info.nbytes // info.shape[0]
        first, last = offset // row, -(-(offset + len(buffer)) // row)
        lines = self._columns(name, first, last)
        buffer[:] = lines[offset - first * row : offset - first * row + len(buffer)]

    def _making(self, name: str) -> Hashable:
        return ("turned", self._source.origin(name), self._source.info(name).shape)

    def _columns(self, name: str, first: int, last: int) -> memoryview:
        """Columns `first` to `last` of the matrix in the source, one after another."""
        import numpy as np

        columns, rows = self.info(name).shape
        element = np.dtype(_ELEMENTS[self.info(name).dtype])
        out = np.empty((last - first, rows), element)
        step = max(1, _STRIP // (columns * element.itemsize))
        for start in range(0, rows, step):
            strip = np.empty((min(step, rows - start), columns), element)
            self._source.read_into(name, start * columns * element.itemsize, strip.data.cast("B"))
            out[:, start : start + step] = strip[:, first:last].T
        return out.data.cast("B")
