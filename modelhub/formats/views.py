"""Views: sources made of other sources tensor by tensor, reading none: several as one, and one under other names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path

from modelhub.errors import UsageError
from modelhub.formats.header import Header, TensorInfo
from modelhub.formats.source import Place, Record, TensorSource


class View(TensorSource):
    """A source that has each of its tensors from another one, which `_origin` names with the tensor's name there."""

    @abstractmethod
    def _origin(self, name: str) -> tuple[TensorSource, str]:
        """The source that has a tensor, which this view is known to have, and its name in that."""

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of its origin. Raises what that raises, NotFoundError if unknown."""
        self.info(name)
        source, old = self._origin(name)
        source.read_into(old, offset, buffer)

    def place(self, name: str) -> Place | None:
        """Where its origin has it."""
        self.info(name)
        source, old = self._origin(name)
        return source.place(old)

    def crc32(self, name: str) -> int | None:
        """What its origin knows."""
        self.info(name)
        source, old = self._origin(name)
        return source.crc32(old)

    def records(self, name: str) -> tuple[Record, ...]:
        """Those of its origin."""
        self.info(name)
        source, old = self._origin(name)
        return source.records(old)

    def file_of(self, name: str) -> Path | None:
        """The file of its origin."""
        self.info(name)
        source, old = self._origin(name)
        return source.file_of(old)

    def origin(self, name: str) -> Hashable:
        """That of its origin."""
        self.info(name)
        source, old = self._origin(name)
        return source.origin(old)


class Changed(View):
    """`source` with the bytes of some tensors made by `_make` from their own; the others are passed through.

    Closing the view closes the source.
    """

    def __init__(self, source: TensorSource, changed: Collection[str], header: Header) -> None:
        self._source, self._changed, self.header = source, changed, header

    @abstractmethod
    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `offset` on of a changed tensor, which has these bytes."""

    def _origin(self, name: str) -> tuple[TensorSource, str]:
        return self._source, name

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of the tensor as it becomes. Raises what the source raises, NotFoundError if unknown."""
        if name in self._changed:
            self._make(name, self.within(name, offset, len(buffer)), offset, buffer)
        else:
            super().read_into(name, offset, buffer)

    def place(self, name: str) -> Place | None:
        """Where the source has it, unless it is changed."""
        return None if name in self._changed else super().place(name)

    def crc32(self, name: str) -> int | None:
        """What the source knows, unless it is changed."""
        return None if name in self._changed else super().crc32(name)

    def origin(self, name: str) -> Hashable:
        """That of the source, unless it is changed; then what `_making` says, or else this view's own."""
        if name not in self._changed:
            return super().origin(name)
        made = self._making(name)
        return TensorSource.origin(self, name) if made is None else made

    def _making(self, name: str) -> Hashable:
        """All that the bytes of a changed tensor depend on, where that can be told; else None."""
        return None

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Combined(View):
    """Several sources as one: every name that any of them has, and where several have it, the tensor of the last.

    So `Combined([base, unet])` is `base` with another U-Net, and `Combined([checkpoint, vae])` a checkpoint with
    another VAE: what a `dict` does in `{**base, **unet}`. A later tensor replaces an earlier one whole, dtype and shape
    included. The header is laid out anew; its metadata is `metadata`, by default that of the first source. Closing the
    view closes the sources.
    """

    def __init__(self, sources: Sequence[TensorSource], metadata: Mapping[str, str] | None = None) -> None:
        self._sources = tuple(sources)
        self._owners = {name: source for source in self._sources for name in source.header.tensors}
        if metadata is None:
            metadata = self._sources[0].header.metadata if self._sources else {}
        entries = (
            (name, info.dtype, info.shape) for name, o in self._owners.items() for info in (o.header.tensors[name],)
        )
        self.header = Header.of(entries, metadata)

    def _origin(self, name: str) -> tuple[TensorSource, str]:
        return self._owners[name], name

    def close(self) -> None:
        """Close every source."""
        for source in self._sources:
            source.close()


class Renamed(View):
    """A source under other names: `rename` gets each name and answers with the new one, or None to leave it out.

    `old_names` has the old names by the new ones. Metadata stays unless another is given; the header is laid out anew,
    in the order of the source. Closing the view closes the source. Raises UsageError when two tensors would get the
    same name.
    """

    def __init__(
        self,
        source: TensorSource,
        rename: Callable[[str], str | None],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source
        self.old_names: dict[str, str] = {}
        for old in source.header.tensors:
            new = rename(old)
            if new is None:
                continue
            if new in self.old_names:
                raise UsageError(
                    f"The tensors {self.old_names[new]!r} and {old!r} would both be named {new!r}.", "Leave one out."
                )
            self.old_names[new] = old
        tensors = source.header.tensors
        entries = ((new, tensors[old].dtype, tensors[old].shape) for new, old in self.old_names.items())
        self.header = Header.of(entries, source.header.metadata if metadata is None else metadata)

    def _origin(self, name: str) -> tuple[TensorSource, str]:
        return self._source, self.old_names[name]

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Held(TensorSource):
    """Small tensors in memory as a source: name to dtype ("I64"), shape, and the bytes of the contiguous tensor."""

    def __init__(self, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> None:
        self._data = {name: data for name, (_, _, data) in tensors.items()}
        self.header = Header.of((name, dtype, shape) for name, (dtype, shape, _) in tensors.items())
        for name, data in self._data.items():
            if len(data) != self.info(name).nbytes:
                raise ValueError(f"{name!r} has {len(data)} bytes, and needs {self.info(name).nbytes}")

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """A copy of the bytes held."""
        self.within(name, offset, len(buffer))
        buffer[:] = self._data[name][offset : offset + len(buffer)]
