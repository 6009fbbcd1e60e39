"""Files of torch 0.1.9 and older: a tar archive of `sys_info`, `storages`, `tensors` and `pickle`.

`storages`: their number, for each a pickle (key, location, class), the number of elements (int64) and the elements;
then a list of views (key, key of the base, first element, elements). `tensors`: their number, for each a pickle
(key, key of the storage, class), the rank (int32, padded to 8 bytes), sizes, strides and first element (int64).
Everything is little-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from modelhub.errors import CorruptFileError
from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.opcodes import run
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.storages import Storage, storage_kind, whole
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Value

_BLOCK = 512
#: What a header costs, in steps of the machine.
_STEPS = 10
_MAX_MEMBERS, _MAX_PARTS, _MAX_RANK = 1000, 100_000, 64
_PARTS = ("sys_info", "storages", "tensors", "pickle")
#: Notes of times and the like are short; these words in one make readers differ.
_MAX_NOTE, _TELLING = 8192, (b"path=", b"size=", b"sparse", b"charset=")
_FILE, _NOTES = (b"0", b"\0"), (b"x", b"g")
_Tensors = dict[int, tuple[Storage, tuple[Value, ...]]]


def is_tar(front: bytes) -> bool:
    """Whether a file that begins with `front`, 512 bytes of it, is a tar archive: readers go by the checksum alone."""
    return front[257:262] == b"ustar" or (len(front) == _BLOCK and _checksum(front) == _octal(front[148:156]))


def read_tar(span: Span, survey: Survey) -> Archive:
    """The archive. Raises CorruptFileError when it contradicts itself."""
    members = _members(span, survey)
    if not {"storages", "tensors", "pickle"} <= set(members):
        raise survey.broken("is a tar archive without the parts of a torch file")
    if "sys_info" in members:
        run(members["sys_info"], survey)
    root, _ = run(members["pickle"], survey)
    try:
        tensors = _tensors(members["tensors"], _storages(members["storages"], survey), survey)
    except struct.error:
        raise survey.broken("is cut short within its tensors") from None
    return Archive(root, survey, tensors=tensors)


def _members(span: Span, survey: Survey) -> dict[str, Span]:
    found: dict[str, Span] = {}
    headers = list(_headers(span, survey))
    survey.note_records("tar", ((name, data.size) for name, kind, data in headers if kind in _FILE))
    for name, kind, data in headers:
        if kind in _NOTES and _renames(data):
            raise _lie(survey, "a note of it renames or resizes a file")
        if kind not in _FILE + _NOTES or name in found:
            raise _lie(survey, "it holds links, or the same file twice")
        if kind in _FILE and name in _PARTS:
            found[name] = data
        elif kind in _FILE:
            survey.find("It holds files that torch does not read.")
    return found


def _renames(note: Span) -> bool:
    """Whether a note says, or is long enough to hide, that a file has another name or size than its header says."""
    return note.size > _MAX_NOTE or any(word in note.read(0, note.size) for word in _TELLING)


def _headers(span: Span, survey: Survey) -> Iterator[tuple[str, bytes, Span]]:
    at = 0
    for _ in range(_MAX_MEMBERS):
        survey.spend(_STEPS)
        header = span.read(at, _BLOCK)
        if not header.strip(b"\0"):
            return
        size = _size(header, survey)
        if at + _BLOCK + size > span.size:
            raise survey.broken("is a tar archive that is cut short")
        name = header[:100].partition(b"\0")[0].decode("utf-8", "replace")
        yield name, header[156:157], span.part(at + _BLOCK, size)
        at += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
    raise survey.too_much(f"is a tar archive of more than {_MAX_MEMBERS} files")


def _size(header: bytes, survey: Survey) -> int:
    """The size in a header whose checksum is right."""
    size = _octal(header[124:136].strip(b" \0") or b"0")
    if size is None:
        raise _lie(survey, "a header is damaged")
    if len(header) < _BLOCK or _checksum(header) != _octal(header[148:156]):
        raise _lie(survey, "a checksum is wrong")
    return size


def _checksum(header: bytes) -> int:
    """The sum of all bytes, those of the sum itself counted as spaces."""
    return sum(header[:148]) + sum(header[156:]) + 8 * 32


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else None


def _lie(survey: Survey, what: str) -> CorruptFileError:
    return survey.broken(f"is a tar archive that contradicts itself: {what}")


def _number(span: Span, survey: Survey) -> tuple[int, int]:
    count, machine = run(span, survey)
    if not whole(count, _MAX_PARTS):
        raise survey.broken("does not say how many tensors it has")
    return count, machine.end


def _triple(span: Span, at: int, survey: Survey) -> tuple[Value, Value, Value, int]:
    found, machine = run(span, survey, at)
    if type(found) is not tuple or len(found) != 3 or type(found[0]) is not int:
        raise survey.broken("describes a tensor in a way that no torch has")
    return *found, machine.end


def _storages(span: Span, survey: Survey) -> dict[int, Storage]:
    found: dict[int, Storage] = {}
    count, at = _number(span, survey)
    for _ in range(count):
        key, _, maker, at = _triple(span, at, survey)
        kind = storage_kind(maker)
        (numel,) = struct.unpack("<q", span.read(at, 8))
        if kind is None or numel < 0 or at + 8 + numel * kind.width > span.size:
            raise survey.broken("is cut short within a storage, or has one of an unknown class")
        found[key] = Storage(span, at + 8, numel * kind.width, kind)
        at += 8 + numel * kind.width
    views, _ = run(span, survey, at)
    for view in views if type(views) is list else ():
        _add_view(found, view, survey)
    return found


def _add_view(found: dict[int, Storage], view: Value, survey: Survey) -> None:
    if (
        type(view) is not tuple
        or len(view) != 4
        or not all(whole(part, 2**64) for part in view)
        or view[1] not in found
    ):
        raise survey.broken("has a view of a storage that makes no sense")
    base = found[view[1]]
    begin, size = view[2] * base.kind.width, view[3] * base.kind.width
    if begin + size > base.size:
        raise survey.broken("has a view that reaches beyond its storage")
    found[view[0]] = Storage(base.data, base.begin + begin, size, base.kind)


def _tensors(span: Span, storages: dict[int, Storage], survey: Survey) -> _Tensors:
    found: _Tensors = {}
    count, at = _number(span, survey)
    for _ in range(count):
        key, storage, _, at = _triple(span, at, survey)
        (rank,) = struct.unpack("<i", span.read(at, 4))
        if type(storage) is not int or storage not in storages or not 0 <= rank <= _MAX_RANK:
            raise survey.broken("has a tensor without a storage or with an impossible rank")
        sizes = struct.unpack(f"<{2 * rank + 1}q", span.read(at + 8, 16 * rank + 8))
        found[key] = storages[storage], (sizes[-1], sizes[:rank], sizes[rank:-1])
        at += 16 * rank + 16
    return found
