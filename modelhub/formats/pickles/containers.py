"""The containers that torch has stored pickles in since 2016: zip, TorchScript, legacy, tar, and none at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from modelhub.errors import FileError, NotAModelError
from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.encoded import raw_span
from modelhub.formats.pickles.legacy import MAGIC, read_legacy
from modelhub.formats.pickles.opcodes import run
from modelhub.formats.pickles.script import is_script, look_at_code
from modelhub.formats.pickles.span import Data, Span
from modelhub.formats.pickles.storages import Reference
from modelhub.formats.pickles.survey import Survey, quoted
from modelhub.formats.pickles.tar import is_tar, read_tar
from modelhub.formats.pickles.values import Made
from modelhub.formats.pickles.zip import hides_zip, read_zip
from modelhub.formats.safetensors import sniff_hint
from modelhub.formats.sniff import sniff_bytes

#: Files within pickles within files, and how many of them.
MAX_DEPTH, MAX_INNER = 4, 20_000
#: What it costs to open one of them, in steps of the machine.
_STEPS = 20
#: Pickles beside the one that counts are looked into up to this size, and so many behind one another.
_MAX_SIDE = 2**24
_MAX_TRAILING = 16
_FRONT = 512


def read_archive(span: Span, survey: Survey, depth: int = 0) -> Archive:
    """Read a container by what it begins with, as torch does, and all pickles in it.

    Raises NotAModelError for another kind of file, CorruptFileError, and FileError beyond the limits. What would run
    code is noted in `survey`, of a file that is broken up to there, and with the files that its pickle holds.
    """
    try:
        return _read(span, survey, depth)
    except FileError:
        _look_inside(survey, depth)
        raise


def _read(span: Span, survey: Survey, depth: int) -> Archive:
    if depth > 0:
        survey.spend(_STEPS)
    if depth > MAX_DEPTH:
        raise survey.too_much(f"holds files within files, {MAX_DEPTH} deep")
    front = span.read(0, _FRONT)
    is_zip = front.startswith(b"PK\x03\x04")
    if depth == 0:
        survey.container = "zip" if is_zip else "tar" if is_tar(front) else "plain"
    if is_zip:
        return _zip(span, survey, depth)
    if depth == 0 and hides_zip(span):
        survey.danger("it is two files in one, a pickle and a zip archive: programs check one and load the other")
    if is_tar(front):
        return _tar(span, survey, depth)
    return _bare(span, survey, depth, front)


def _tar(span: Span, survey: Survey, depth: int) -> Archive:
    if span.read(0, 1) == b"\x80":
        survey.danger("it is two files in one, a pickle and a tar archive")
    return _with_inner(read_tar(span, survey), depth)


def _bare(span: Span, survey: Survey, depth: int, front: bytes) -> Archive:
    """A legacy file or a mere pickle; both begin with a pickle."""
    try:
        value, machine = run(span, survey)
    except FileError as error:
        if sniff_bytes(front) == "pickle" or survey.dangers:
            raise
        raise NotAModelError(f"{survey.path} is not a torch checkpoint.", sniff_hint(front)) from error
    if type(value) is int and value == MAGIC:
        survey.container = survey.container if depth else "legacy"
        archive, end = read_legacy(span, survey, machine.end)
    else:
        archive, end = Archive(value, survey), machine.end
    _with_inner(archive, depth)
    _look_behind(span, end, survey, depth)
    return archive


def _with_inner(archive: Archive, depth: int) -> Archive:
    """Read the files that stand as bytes in the pickles that were just read, for torch to load them in turn."""
    survey = archive.survey
    nested, survey.nested = survey.nested, []
    if len(nested) > MAX_INNER:
        raise survey.too_much(f"holds {len(nested)} files in its pickle")
    waiting = iter(nested)
    for made in waiting:
        if (span := _inner_span(made, survey)) is not None:
            try:
                archive.inner[id(made)] = made, read_archive(span, survey, depth + 1)
            except FileError:
                survey.nested = [*waiting]
                raise
    return archive


def _inner_span(made: Made, survey: Survey) -> Span | None:
    """The bytes that torch would load as a file; None, and a danger, when they are not to be known."""
    span = raw_span(made.args[0], survey) if type(made.args) is tuple and made.args else None
    if span is None:
        survey.danger("it loads bytes as a file that it makes on the way", certain=True)
    return span


def _look_inside(survey: Survey, depth: int) -> None:
    """Look for dangers in the files that a pickle had loaded before its broken place: by then their code has run."""
    nested, survey.nested = survey.nested, []
    for made in nested[:MAX_INNER]:
        with suppress(FileError):
            if (span := _inner_span(made, survey)) is not None:
                read_archive(span, survey, depth + 1)


def _look_behind(span: Span, begin: int, survey: Survey, depth: int) -> None:
    """Look at what follows the data, in case it is one more pickle."""
    if begin >= span.size:
        return
    survey.find(f"{span.size - begin} bytes follow behind its end.")
    for _ in range(_MAX_TRAILING):
        begin = _try(span, begin, survey, depth)
        if begin < 0:
            return


def _zip(span: Span, survey: Survey, depth: int) -> Archive:
    records = read_zip(span, survey)
    root = _root(records, survey)
    inside = {name[len(root) + 1 :]: data for name, data in records.items()}
    if is_script(inside):
        survey.container = survey.container if depth else "torchscript"
        look_at_code(inside, survey)
    pickled = inside["data.pkl"].span()
    value, machine = run(pickled, survey)

    def lookup(wanted: Reference) -> Data | None:
        return inside.get(f"data/{wanted.key}")

    archive = Archive(value, survey, lookup, _is_big(inside))
    _with_inner(archive, depth)
    _look_behind(pickled, machine.end, survey, depth)
    _look_aside(inside, survey, depth)
    return archive


def _root(records: Iterable[str], survey: Survey) -> str:
    """The one folder that all records stand in."""
    roots = {name.partition("/")[0] if "/" in name else "" for name in records}
    if not any(name.count("/") == 1 and name.endswith("/data.pkl") for name in records):
        raise NotAModelError(
            f"{survey.path} is a zip archive, and no torch checkpoint: it holds no data.pkl.",
            "Unpack it; the model may be one of the files in it.",
        )
    if len(roots) > 1:
        shown = ", ".join(quoted(name) for name in sorted(roots)[:3])
        raise survey.broken(f"is a zip archive of several folders: {shown}")
    return roots.pop()


def _is_big(inside: dict[str, Data]) -> bool:
    order = inside.get("byteorder")
    return order is not None and order.size < 16 and order.span().read(0, 16).strip() == b"big"


def _look_aside(inside: dict[str, Data], survey: Survey, depth: int) -> None:
    """Look into the other pickles of an archive, which torch leaves alone."""
    for name, data in inside.items():
        if name.startswith(("data/", "constants/", "code/")) or name == "data.pkl" or not data.size:
            continue
        if data.size > _MAX_SIDE:
            survey.find(f"Its file {quoted(name)} was not looked at.")
        elif name.endswith(".pkl") or data.span().read(0, 1) == b"\x80":
            _try(data.span(), 0, survey, depth)


def _try(span: Span, begin: int, survey: Survey, depth: int) -> int:
    """Look at what may be one more pickle for what it refers to: where it ends, -1 when it is none."""
    doubting, survey.doubting = survey.doubting, True
    try:
        value, machine = run(span, survey, begin)
        _with_inner(Archive(value, survey), depth)
        return machine.end
    except FileError:
        _look_inside(survey, depth)
        return -1
    finally:
        survey.doubting = doubting
