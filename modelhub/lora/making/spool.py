"""Spool: tensors kept in a file beside the goal until all are made, because ranks are known only when all are.

The header of a safetensors file stands before its data, and what an energy asks for shows only in the data. So layers
are made one by one and put down here, and then copied by the kernel behind their header: memory is one layer.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import file_error
from modelhub.formats.closing import Closing
from modelhub.formats.handle import Handle
from modelhub.formats.header import Header
from modelhub.formats.parts import growing
from modelhub.formats.pump import write_all
from modelhub.formats.rounding import Findings, store
from modelhub.formats.source import Place, TensorSource, torch_dtype

if TYPE_CHECKING:
    import torch

#: Bytes that are copied at once.
_BLOCK = 1 << 22


class Spool(Closing):
    """A temporary file beside `goal`; it is gone when this is closed. Raises FileError where it cannot be written."""

    def __init__(self, goal: Path) -> None:
        self._stack, self._goal = ExitStack(), goal
        try:
            part, self._file = self._stack.enter_context(growing(goal))
        except OSError as error:
            raise file_error(error, goal) from error
        self._handle = self._stack.enter_context(Handle(part))
        self._entries: dict[str, tuple[str, tuple[int, ...], int]] = {}
        self._size = 0

    def add(self, name: str, value: torch.Tensor, dtype: str) -> Findings:
        """Put a tensor down, rounded once to `dtype`; returns what is not finite of it."""
        import torch

        out = torch.empty(value.shape, dtype=torch_dtype(dtype))
        found = store(value, out)
        self._put(name, dtype, tuple(value.shape), out.reshape(-1).view(torch.uint8).numpy().data)
        return found

    def copy(self, source: TensorSource, name: str, new: str = "") -> None:
        """Put down a tensor of another file as it is, perhaps under a new name."""
        info = source.info(name)
        at, buffer = self._size, memoryview(bytearray(min(_BLOCK, info.nbytes)))
        for offset in range(0, info.nbytes, _BLOCK):
            view = buffer[: min(_BLOCK, info.nbytes - offset)]
            source.read_into(name, offset, view)
            self._write(view)
        self._entries[new or name] = (info.dtype, info.shape, at)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def _put(self, name: str, dtype: str, shape: tuple[int, ...], data: memoryview) -> None:
        at = self._size
        self._write(data)
        self._entries[name] = (dtype, shape, at)

    def _write(self, data: memoryview) -> None:
        try:
            write_all(self._file, data)
        except OSError as error:
            raise file_error(error, self._goal) from error
        self._size += len(data)

    def source(self, metadata: dict[str, str]) -> TensorSource:
        """All that was put down, as a source; good until this is closed."""
        return _Spooled(self._handle, self._entries, metadata)

    def close(self) -> None:
        """Remove the file."""
        self._stack.close()


class _Spooled(TensorSource):
    def __init__(
        self, handle: Handle, entries: dict[str, tuple[str, tuple[int, ...], int]], metadata: dict[str, str]
    ) -> None:
        self._handle = handle
        self._at = {name: at for name, (_, _, at) in entries.items()}
        self.header = Header.of(((name, dtype, shape) for name, (dtype, shape, _) in entries.items()), metadata)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.within(name, offset, len(buffer))
        self._handle.fill(self._at[name] + offset, buffer)

    def place(self, name: str) -> Place | None:
        self.info(name)
        return Place(self._handle.descriptor, self._at[name])
