"""A legacy torch checkpoint as a source of tensors: everything is read symbolically, and no byte of it is run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from modelhub.errors import FileError
from modelhub.formats.handle import Handle
from modelhub.formats.header import Header
from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.containers import read_archive
from modelhub.formats.pickles.gather import read_view
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey, quoted
from modelhub.formats.pickles.tensors import CannotHoldError, View, view_of
from modelhub.formats.pickles.values import GlobalName, Value
from modelhub.formats.pickles.weights import find_weights, metadata_of
from modelhub.formats.source import TensorSource

__all__ = ["GlobalName", "PickleFile", "read_pickle_header"]

_SHOWN = 10


class PickleFile(TensorSource):
    """A .ckpt, .pt, .pth or .bin file: names, shapes, dtypes, scalars as metadata, and the bytes of tensors.

    `globals` is every name that the file refers to, `findings` what else is worth knowing, `dangers` what would have
    run code: without `salvage`, a file with any of these is refused.
    """

    globals: tuple[GlobalName, ...]
    findings: tuple[str, ...]
    dangers: tuple[str, ...]

    def __init__(self, path: str | Path, *, salvage: bool = False) -> None:
        """Read what describes the tensors; their bytes are read when asked for.

        Raises UnsafePickleError for a file that would run code, CorruptFileError for one that is broken, NotAModelError
        for another kind of file, FileError for one beyond the limits or that cannot be read.
        """
        self.path = Path(path)
        with ExitStack() as undo:
            handle = undo.enter_context(Handle(path))
            survey = Survey(self.path, handle.size)
            undo.callback(survey.spool.close)
            self._views, self.header = _read(Span(handle, 0, handle.size), survey, salvage)
            self._files = undo.pop_all()
        self.globals, self.findings, self.dangers = survey.names, tuple(survey.findings), tuple(survey.dangers)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """The bytes that the contiguous tensor would have, however it is stored."""
        info = self.info(name)
        if offset < 0 or offset + len(buffer) > info.nbytes:
            raise IndexError(f"bytes {offset} to {offset + len(buffer)} of tensor {name!r}, which has {info.nbytes}")
        if len(buffer):
            read_view(self._views[name], offset, buffer)

    def close(self) -> None:
        """Close the file and drop what was unpacked of it; closing twice is fine."""
        self._files.close()


def read_pickle_header(path: str | Path) -> Header:
    """The header of a torch checkpoint. Raises what `PickleFile` raises."""
    with PickleFile(path) as file:
        return file.header


def _read(span: Span, survey: Survey, salvage: bool) -> tuple[dict[str, View], Header]:
    """Views and header. A file that is dangerous as well as broken is called dangerous."""
    try:
        archive = read_archive(span, survey)
        if not survey.dangers or salvage:
            return _laid_out(archive)
    except FileError:
        if not survey.dangers or salvage:
            raise
    raise survey.unsafe()


def _laid_out(archive: Archive) -> tuple[dict[str, View], Header]:
    survey = archive.survey
    weights = find_weights(archive)
    views: dict[str, View] = {}
    known: dict[int, View | str] = {}
    for name, value in weights.tensors:
        if id(value) not in known:
            known[id(value)] = _view(value, archive)
        view = known[id(value)]
        if isinstance(view, str):
            survey.find(f"Tensor {quoted(name)} was left out: it is {view}.")
            continue
        views[name] = view
        survey.output -= view.nbytes
        if survey.output < 0:
            raise survey.too_much(f"claims tensors of many times its {survey.size} bytes")
    _note_unknown(survey)
    entries = ((name, view.kind.dtype, view.shape) for name, view in views.items())
    return views, Header.of(entries, metadata_of(archive, weights.root))


def _view(value: Value, archive: Archive) -> View | str:
    """The tensor that a value stands for, or in words why no safetensors file can hold it."""
    try:
        return view_of(value, archive)
    except CannotHoldError as reason:
        return str(reason)


def _note_unknown(survey: Survey) -> None:
    unknown = [quoted(name.path) for name in survey.names if name.verdict == "unknown"]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        survey.find(f"Objects of unknown classes were dropped: {', '.join(unknown[:_SHOWN])}{more}.")
