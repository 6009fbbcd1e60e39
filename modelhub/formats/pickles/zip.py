"""Zip archives, read strictly: an archive that two readers could understand differently is refused.

The layout is that of PKWARE's APPNOTE 6.3: the directory at the end is what counts, and every entry has to say the same
of itself. Names are looked up without regard to case, as torch does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from modelhub.errors import CorruptFileError
from modelhub.formats.pickles.span import Data, Span
from modelhub.formats.pickles.survey import MAX_ENTRIES, Survey, quoted

MAX_DIRECTORY = 2**25
_END, _END64, _LOCATOR, _CENTRAL, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_CENTRAL_FIELDS = struct.Struct("<4s6H3L5H2L")
_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
#: Sizes follow behind the data; names are UTF-8. Every other flag means encryption or a patch.
_LATE_SIZES, _UTF8 = 8, 2048
_STORED, _DEFLATED = 0, 8
#: The mark of a folder among the attributes, as DOS set it.
_FOLDER = 16
_FULL32, _FULL16 = 2**32 - 1, 2**16 - 1
_RATIO, _RATIO_FROM = 200, 2**24
_MAX_EXTRAS = 16
_PIECE = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One file of an archive as the directory describes it; `at` is the place of its own header."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    at: int


def end_of(span: Span) -> int | None:
    """Where the end record of a zip archive stands that fills the end of `span`, or None."""
    tail = span.read(max(0, span.size - 2**16 - 22), 2**16 + 22)
    at = tail.rfind(_END)
    while at >= 0:
        if len(tail) - at >= 22 and len(tail) - at - 22 == int.from_bytes(tail[at + 20 : at + 22], "little"):
            return span.size - len(tail) + at
        at = tail.rfind(_END, 0, at)
    return None


def hides_zip(span: Span) -> bool:
    """Whether a file that begins as something else ends as a zip archive with entries."""
    at = end_of(span)
    if at is None:
        return False
    size = _END_FIELDS.unpack(span.read(at, 22))[5]
    is_large = at >= 20 and span.read(at - 20, 4) == _LOCATOR
    return is_large or (0 < size <= at and span.read(at - size, 4) == _CENTRAL)


def read_zip(span: Span, survey: Survey) -> dict[str, Data]:
    """The files of an archive by their names in lower case, folders left out; every header of it is checked.

    Raises CorruptFileError for an archive that contradicts itself.
    """
    end = end_of(span)
    if end is None:
        raise survey.broken("is a zip archive that is cut short: its directory is missing")
    try:
        count, size, begin, stop = _directory(span, end)
        if begin + size != stop:
            raise _lie(survey, "its directory is not where it should be")
        if _END in span.read(end + 4, 2**16 + 22):
            raise _lie(survey, "it has two ends")
        survey.entries -= max(count, 1)
        if survey.entries < 0 or size > MAX_DIRECTORY:
            raise survey.too_much(f"holds zip archives of more than {MAX_ENTRIES} entries")
        entries = list(_entries(span.read(begin, size), count, survey))
        survey.note_records("zip", ((entry.name, entry.size) for entry in entries))
        return _checked(span, entries, begin, survey)
    except struct.error:
        raise _lie(survey, "a header is cut short") from None


def _lie(survey: Survey, what: str) -> CorruptFileError:
    return survey.broken(f"is a zip archive that contradicts itself: {what}")


def _directory(span: Span, end: int) -> tuple[int, int, int, int]:
    """Entries, bytes and place of the directory, and where it must end."""
    _, disk, first, here, count, size, begin, _ = _END_FIELDS.unpack(span.read(end, 22))
    if span.read(max(0, end - 20), 4) != _LOCATOR or end < 20:
        return (-1 if disk or first or here != count else count), size, begin, end
    _, _, at, _ = _LOCATOR_FIELDS.unpack(span.read(end - 20, 20))
    fields = _END64_FIELDS.unpack(span.read(at, 56) if at < end else b"")
    if fields[0] != _END64 or at + 12 + fields[1] != end - 20 or fields[4] or fields[5]:
        return -1, 0, 0, -1
    for small, full, large in ((count, _FULL16, fields[7]), (size, _FULL32, fields[8]), (begin, _FULL32, fields[9])):
        if small not in (full, large):
            return -1, 0, 0, -1
    return fields[7], fields[8], fields[9], at


def _entries(directory: bytes, count: int, survey: Survey) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        (magic, _, _, flags, method, _, _, crc, packed, size, names, extras, notes, disk, _, marks, begin) = (
            _CENTRAL_FIELDS.unpack_from(directory, at)
        )
        at += 46
        raw, extra = directory[at : at + names], directory[at + names : at + names + extras]
        at += names + extras + notes
        if magic != _CENTRAL or at > len(directory):
            raise _lie(survey, "its directory is damaged")
        packed, size, begin = _large(extra, [size, packed, begin], survey)
        name = raw.decode("utf-8", "replace")
        if flags & ~(_LATE_SIZES | _UTF8) or method not in (_STORED, _DEFLATED) or disk not in (0, _FULL16):
            raise _lie(survey, f"{quoted(name)} is encrypted or packed in a way that torch never uses")
        if marks & _FOLDER and not name.endswith("/"):
            raise _lie(survey, f"{quoted(name)} is marked as a folder, which torch takes it for")
        yield Entry(name, raw, flags, method, crc, packed, size, begin)
    if at != len(directory):
        raise _lie(survey, "its directory holds more than its entries")


def _large(extra: bytes, fields: list[int], survey: Survey) -> tuple[int, int, int]:
    """Packed size, size and place, with what does not fit into 32 bits taken from the extra field 1."""
    size, packed, begin = fields
    if _FULL32 not in fields:
        return packed, size, begin
    values = _extra64(extra)
    found = [next(values, -1) if field == _FULL32 else field for field in (size, packed, begin)]
    if min(found) < 0:
        raise _lie(survey, "a size of more than 32 bits is missing")
    return found[1], found[0], found[2]


def _extra64(extra: bytes) -> Iterator[int]:
    at = 0
    for _ in range(_MAX_EXTRAS):
        if at + 4 > len(extra):
            return
        tag, size = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            yield from (value for (value,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + size // 8 * 8]))
            return
        at += 4 + size


def _checked(span: Span, entries: list[Entry], stop: int, survey: Survey) -> dict[str, Data]:
    """The entries by name, each proven to lie where it says, apart from all others."""
    found: dict[str, Data] = {}
    free = 0
    for entry in sorted(entries, key=lambda entry: entry.at):
        begin = _data_begin(span, entry, survey)
        if entry.at < free or begin + entry.packed > stop:
            raise _lie(survey, f"{quoted(entry.name)} overlaps something else")
        if free == 0 and entry.at != 0:
            raise _lie(survey, "its first file is not in its directory")
        free = begin + entry.packed
        _add(found, entry, Span(span.file, span.begin + begin, entry.packed, entry.crc), survey)
    return found


def _data_begin(span: Span, entry: Entry, survey: Survey) -> int:
    """Where the data of an entry begins; its own header has to say what the directory says."""
    front = span.read(entry.at, 30 + len(entry.raw_name))
    magic, _, flags, method, _, _, _, packed, size, names, extras = _LOCAL_FIELDS.unpack_from(front)
    same = magic == _LOCAL and flags == entry.flags and method == entry.method and front[30:] == entry.raw_name
    if not same or names != len(entry.raw_name):
        raise _lie(survey, f"{quoted(entry.name)} is described in two ways")
    if not _sizes_agree(packed, size, entry):
        raise _lie(survey, f"{quoted(entry.name)} is given two sizes")
    return entry.at + 30 + int(names + extras)


def _sizes_agree(packed: int, size: int, entry: Entry) -> bool:
    late = bool(entry.flags & _LATE_SIZES)
    for here, there in ((packed, entry.packed), (size, entry.size)):
        if here not in (there, _FULL32) and not (late and here == 0):
            return False
    return entry.method == _DEFLATED or entry.packed == entry.size


def _add(found: dict[str, Data], entry: Entry, span: Span, survey: Survey) -> None:
    name = entry.name.lower()
    parts = name.removesuffix("/").split("/")
    if name in found or "\0" in name or "\\" in name or ".." in parts or "" in parts or not name:
        raise _lie(survey, f"{quoted(entry.name)} is no name that a file may have there, or stands twice")
    if not name.endswith("/"):
        found[name] = span if entry.method == _STORED else Deflated(entry, span, survey)
    elif entry.size:
        raise _lie(survey, f"the folder {quoted(entry.name)} holds data of its own")


class Deflated:
    """A packed entry, unpacked into a temporary file when it is first read."""

    def __init__(self, entry: Entry, packed: Span, survey: Survey) -> None:
        self.size = entry.size
        self._entry, self._packed, self._survey = entry, packed, survey
        self._lock = Lock()
        self._found: Span | None = None

    def span(self) -> Span:
        """Where the unpacked bytes stand. Raises CorruptFileError, and FileError when they are implausibly many."""
        with self._lock:
            if self._found is None:
                self._found = self._unpack()
            return self._found

    def _unpack(self) -> Span:
        if self.size > max(_RATIO_FROM, _RATIO * self._packed.size) and not self._survey.is_trusted:
            raise self._survey.too_much(f"packs {self.size} bytes into {self._packed.size}")
        try:
            found = self._survey.spool.keep(self._inflate(), self.size)
        except zlib.error:
            raise self._damaged() from None
        if found.size != self.size:
            raise self._damaged()
        return found

    def _inflate(self) -> Iterator[bytes]:
        packed, crc = zlib.decompressobj(-15), 0
        for at in range(0, self._packed.size, _PIECE):
            rest = self._packed.read(at, _PIECE)
            while rest and not packed.eof:
                piece = packed.decompress(rest, _PIECE)
                crc, rest = zlib.crc32(piece, crc), packed.unconsumed_tail
                yield piece
        while not packed.eof and (piece := packed.decompress(packed.unconsumed_tail, _PIECE)):
            crc = zlib.crc32(piece, crc)
            yield piece
        if not packed.eof or packed.unused_data or self._entry.crc not in (0, crc):
            raise self._damaged()

    def _damaged(self) -> CorruptFileError:
        return self._survey.broken(f"is damaged where {quoted(self._entry.name)} is packed")
