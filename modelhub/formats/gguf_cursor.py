"""The numbers and texts of a GGUF header, front to back, reading no more of the file than that takes."""

from __future__ import annotations

from struct import Struct

from modelhub.errors import CorruptFileError
from modelhub.formats.handle import Handle

#: Bytes of key-value pairs and tensor infos; the vocabulary of a large text encoder takes ten million.
MAX_HEADER = 64_000_000
#: Texts in lists; the largest vocabularies have 260,000, and their merges 520,000.
MAX_STRINGS = 2_000_000
_FIRST_READ = 1 << 18
_U32, _U64 = Struct("<I"), Struct("<Q")

BROKEN = "The file is damaged or not what its name says; download or copy it again."


class Cursor:
    """A place in a header, and the bytes up to there and a little beyond; every method but `fault` moves it on.

    They raise CorruptFileError where the file ends or the header grows beyond the cap.
    """

    def __init__(self, file: Handle) -> None:
        self._file, self.path, self.size = file, str(file.path), file.size
        self.position = 0
        self._strings = 0
        self._data = bytearray()

    def fault(self, what: str) -> CorruptFileError:
        """The error that says what is wrong with the file."""
        return CorruptFileError(f"{self.path} {what}.", BROKEN)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        begin = self._pass(count)
        return bytes(self._data[begin : begin + count])

    def number(self, layout: Struct) -> int | float:
        """The next number."""
        found: int | float = layout.unpack_from(self._data, self._pass(layout.size))[0]
        return found

    def numbers(self, layout: Struct) -> tuple[int, ...]:
        """The next whole numbers."""
        return layout.unpack_from(self._data, self._pass(layout.size))

    def u32(self) -> int:
        """The next whole number of 32 bits."""
        return int(self.number(_U32))

    def u64(self) -> int:
        """The next whole number of 64 bits."""
        return int(self.number(_U64))

    def text(self, what: str, longest: int) -> str:
        """The next text, of at most `longest` bytes; `what` it is goes into the error."""
        length = self.u64()
        if length > longest:
            raise self.fault(f"has {what} of {length} bytes; {longest} are allowed")
        return self.decode(length, what)

    def decode(self, length: int, what: str) -> str:
        """The next `length` bytes as text."""
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault(f"has {what} that is not valid UTF-8") from None

    def skip(self, count: int) -> None:
        """Move on by `count` bytes."""
        self._pass(count)

    def skip_texts(self, count: int) -> None:
        """Move on behind `count` texts, building none of them: a vocabulary has hundreds of thousands."""
        self._strings += count
        if self._strings > MAX_STRINGS:
            raise self.fault(f"has lists of {self._strings} texts; {MAX_STRINGS} are allowed")
        data, at, length = self._data, self.position, _U64.unpack_from
        for _ in range(count):
            if at + 8 > len(data):
                self._load(at + 8)
            at += 8 + length(data, at)[0]
        self._pass(at - self.position)

    def _pass(self, count: int) -> int:
        """Move on by `count` bytes, which are at hand then; returns where they begin."""
        begin = self.position
        self.position += count
        if self.position > len(self._data):
            self._load(self.position)
        return begin

    def _load(self, end: int) -> None:
        if end > self.size:
            raise CorruptFileError(f"{self.path} is cut short within its header.", "Download or copy it again.")
        if end > MAX_HEADER:
            raise self.fault(f"has a header of more than {MAX_HEADER} bytes")
        known = len(self._data)
        more = bytearray(min(self.size, MAX_HEADER, max(end, 2 * known, _FIRST_READ)) - known)
        self._file.fill(known, memoryview(more))
        self._data += more
