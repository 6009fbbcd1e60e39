"""Views: sources made of other sources tensor by tensor, reading none: several as one, and one under other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from modelhub.errors import UsageError
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource


class Combined(TensorSource):
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

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of the last source that has `name`. Raises what it raises, NotFoundError if none has it."""
        self.info(name)
        self._owners[name].read_into(name, offset, buffer)

    def close(self) -> None:
        """Close every source."""
        for source in self._sources:
            source.close()


class Renamed(TensorSource):
    """A source under other names: `rename` gets each name and answers with the new one, or None to leave it out.

    Metadata stays; the header is laid out anew, in the order of the source. Closing the view closes the source.
    Raises UsageError when two tensors would get the same name.
    """

    def __init__(self, source: TensorSource, rename: Callable[[str], str | None]) -> None:
        self._source = source
        self._old: dict[str, str] = {}
        for old in source.header.tensors:
            new = rename(old)
            if new is None:
                continue
            if new in self._old:
                raise UsageError(
                    f"The tensors {self._old[new]!r} and {old!r} would both be named {new!r}.", "Leave one out."
                )
            self._old[new] = old
        entries = (
            (new, info.dtype, info.shape) for new, old in self._old.items() for info in (source.header.tensors[old],)
        )
        self.header = Header.of(entries, source.header.metadata)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes of the tensor under its old name. Raises what the source raises, NotFoundError if unknown."""
        self.info(name)
        self._source.read_into(self._old[name], offset, buffer)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
