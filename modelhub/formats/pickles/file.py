"""A legacy torch checkpoint as a source of tensors: everything is read symbolically, and no byte of it is run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from modelhub.errors import FileError
from modelhub.formats.handle import Handle
from modelhub.formats.header import Header
from modelhub.formats.pickles.containers import read_archive
from modelhub.formats.pickles.gather import Gathering
from modelhub.formats.pickles.layout import Layout, lay_out
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import GlobalName
from modelhub.formats.source import Place, Record, TensorSource

__all__ = ["GlobalName", "PickleFile", "read_pickle_header"]


class PickleFile(TensorSource):
    """A .ckpt, .pt, .pth or .bin file: names, shapes, dtypes, scalars as metadata, and the bytes of tensors.

    `globals` is every name that the file refers to, `findings` what else is worth knowing, `losses` those of them that
    tell of weights which are left out, `dangers` what would have run code: without `salvage`, a file with any of these
    is refused.
    """

    globals: tuple[GlobalName, ...]
    findings: tuple[str, ...]
    losses: tuple[str, ...]
    dangers: tuple[str, ...]

    def __init__(self, path: str | Path, *, salvage: bool = False, max_output: int | None = None) -> None:
        """Read what describes the tensors; their bytes are read when asked for.

        `max_output` is how many bytes the tensors may have in all, and what is packed in the file may unpack to; by
        default 64 MiB or four times the size of the file, whichever is more. Raises UnsafePickleError for a file that
        would run code, CorruptFileError for one that is broken, NotAModelError for another kind of file, FileError for
        one beyond the limits or that cannot be read.
        """
        self.path = Path(path)
        with ExitStack() as undo:
            handle = undo.enter_context(Handle(path))
            survey = Survey(self.path, handle.size, max_output)
            undo.callback(survey.spool.close)
            self._layout = _read(Span(handle, 0, handle.size), survey, salvage)
            self._files = undo.pop_all()
        self.header, self._gathering = self._layout.header, Gathering()
        self.globals, self.dangers = survey.names, tuple(survey.dangers)
        self.findings, self.losses = tuple(survey.findings), tuple(survey.losses)

    @cached_property
    def aliases(self) -> tuple[tuple[str, ...], ...]:
        """Names of tensors that share all their bytes ("tied weights"), in groups of two or more."""
        return self._layout.aliases()

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes that the contiguous tensor would have, however it is stored."""
        self.within(name, offset, len(buffer))
        if len(buffer):
            self._gathering.read(self._layout.views[name], offset, buffer)

    def place(self, name: str) -> Place | None:
        """Where the file has the tensor in one piece; None when it is packed, scattered or turned round in it."""
        found = self._stretch(name)
        descriptor = found.descriptor if found else None
        return Place(descriptor, found.begin) if found and descriptor is not None else None

    def crc32(self, name: str) -> int | None:
        """The CRC-32 in the directory of a zip archive, for a tensor that is the whole of one stored entry."""
        found = self._stretch(name)
        return (found.crc or None) if found else None

    def records(self, name: str) -> tuple[Record, ...]:
        """The stored entry of a zip archive that has the elements of a tensor, in whatever order."""
        self.info(name)
        data = self._layout.views[name].data
        if not isinstance(data, Span) or data.descriptor is None or not data.crc:
            return ()
        return (Record(Place(data.descriptor, data.begin), data.size, data.crc),)

    def close(self) -> None:
        """Close the file and drop what was unpacked of it; closing twice is fine."""
        self._files.close()

    def _stretch(self, name: str) -> Span | None:
        """The bytes of a tensor that stand as they will be written, and not packed."""
        size, view = self.info(name).nbytes, self._layout.views[name]
        if not view.is_plain or not isinstance(view.data, Span):
            return None
        return view.data if view.data.size == size else view.data.part(view.begin, size)


def read_pickle_header(path: str | Path) -> Header:
    """The header of a torch checkpoint. Raises what `PickleFile` raises."""
    with PickleFile(path) as file:
        return file.header


def _read(span: Span, survey: Survey, salvage: bool) -> Layout:
    """Views and header. A file that is dangerous as well as broken is called dangerous."""
    try:
        archive = read_archive(span, survey)
        if not survey.dangers or salvage:
            return lay_out(archive)
    except FileError:
        if not survey.dangers or salvage:
            raise
    raise survey.unsafe()
