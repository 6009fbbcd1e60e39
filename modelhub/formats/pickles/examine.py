"""A look at a file that may be hostile: what it is, what it refers to, what would run, and what is wrong with it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import FileError, NotAModelError
from modelhub.formats.handle import Handle
from modelhub.formats.header import Header
from modelhub.formats.pickles.containers import read_archive
from modelhub.formats.pickles.layout import Layout, lay_out
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import GlobalName


@dataclass(frozen=True, slots=True)
class Examination:
    """What was learnt of a file.

    `container` is zip, torchscript, legacy, tar or plain, "" for what is no pickle; `records` are the members of an
    archive with their sizes in bytes; `root` the wrapper that the weights stand in, "" for none. `globals` is every
    name that the file refers to, `dangers` what would run code, `findings` what else is worth knowing. `header` and
    `aliases` (tensors that share all their bytes) tell what could be read of the weights, be the file dangerous or not;
    there is no header when `error` says what is wrong: CorruptFileError for a broken file, NotAModelError for another
    kind of file, any other FileError for one beyond the limits.
    """

    container: str
    root: str
    globals: tuple[GlobalName, ...]
    dangers: tuple[str, ...]
    findings: tuple[str, ...]
    records: tuple[tuple[str, int], ...]
    aliases: tuple[tuple[str, ...], ...]
    header: Header | None
    error: FileError | None


def examine(path: str | Path, *, max_output: int | None = None) -> Examination:
    """Look at a file; nothing of it is run, and a danger before a broken place is still told.

    `max_output` is that of `PickleFile`. Raises FileError only for a file that cannot be opened.
    """
    with ExitStack() as undo:
        handle = undo.enter_context(Handle(path))
        survey = Survey(Path(path), handle.size, max_output)
        undo.callback(survey.spool.close)
        try:
            return _examination(survey, lay_out(read_archive(Span(handle, 0, handle.size), survey)), None)
        except FileError as error:
            return _examination(survey, None, error)


def _examination(survey: Survey, layout: Layout | None, error: FileError | None) -> Examination:
    return Examination(
        container="" if isinstance(error, NotAModelError) else survey.container,
        root=layout.root if layout else "",
        globals=survey.names,
        dangers=tuple(survey.dangers),
        findings=tuple(survey.findings),
        records=survey.records,
        aliases=layout.aliases() if layout else (),
        header=layout.header if layout else None,
        error=error,
    )
