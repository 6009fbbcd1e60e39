"""The memory of the symbolic machine: a window on the pickle, the stack, the memo, and what it met on the way."""

from __future__ import annotations

from collections.abc import Callable

from modelhub.errors import CorruptFileError
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Blob, GlobalName, Made, Persistent, Value

#: Longer texts and bytes stay in the file, and their place is remembered.
INLINE = 4096
_BLOB_COST = 256
MAX_MARKS = 100_000
#: The function of torch that reads a file which stands as bytes in the pickle, and runs what is in it.
LOADER = "_load_from_bytes"
_WINDOW, _MARGIN = 4096, 16
_LONGEST_LINE = 2**24


class Machine:
    """One run over one pickle, which begins at byte `start` of a span.

    `data` is a window on the span and positions count from its start; `refill` moves it.
    """

    def __init__(self, span: Span, survey: Survey, start: int = 0) -> None:
        self.span, self.survey = span, survey
        self.stack: list[Value] = []
        self.marks: list[list[Value]] = []
        self.memo: dict[int, Value] = {}
        self.persistents: list[Persistent] = []
        self._loader: object = object()
        self._handed_out = 0
        self._grow = _WINDOW
        self.base, self.data, self.safe, self.end = start, b"", -1, -1

    def refill(self, pos: int) -> int:
        """Move the window to begin at `pos`; the position of the same byte in the new window."""
        if pos < len(self.data) and self.base + len(self.data) >= self.span.size:
            return pos
        self.base += pos
        self.data = self.span.read(self.base, self._grow)
        self._grow = min(2 * self._grow, 2**18)
        self.safe = len(self.data) - _MARGIN
        return 0

    def take(self, pos: int, size: int) -> bytes:
        """The `size` bytes at `pos`, which may reach beyond the window. Raises CorruptFileError at the end."""
        found = self.data[pos : pos + size]
        if len(found) == size:
            return found
        self._check(pos, size)
        return self.span.read(self.base + pos, size)

    def _check(self, pos: int, size: int) -> None:
        if self.base + pos + size > self.span.size:
            raise self.broken(pos, f"a value of {size} bytes does not fit into the rest of the pickle")

    def line(self, pos: int) -> tuple[bytes, int]:
        """The text up to the next line break, and the position behind that. Raises CorruptFileError without one."""
        stop = self.data.find(b"\n", pos)
        if stop >= 0:
            self.hold(stop - pos)
            return self.data[pos:stop], stop + 1
        size = _WINDOW
        while size <= _LONGEST_LINE:
            found = self.span.read(self.base + pos, size)
            stop = found.find(b"\n")
            if stop >= 0:
                self.hold(stop)
                return found[:stop], pos + stop + 1
            if len(found) < size:
                break
            size *= 8
        raise self.broken(pos, "a line does not end")

    def text(self, pos: int, size: int) -> str | Blob:
        """A UTF-8 text, or its place when it is long; half characters, which Python's own writer allows, are kept."""
        if size > INLINE:
            return self._blob(pos, size, True)
        self.hold(size)
        return self.take(pos, size).decode("utf-8", "surrogatepass")

    def raw(self, pos: int, size: int) -> bytes | Blob:
        """Some bytes, or their place when they are many."""
        if size > INLINE:
            return self._blob(pos, size, False)
        self.hold(size)
        return self.take(pos, size)

    def _blob(self, pos: int, size: int, is_text: bool) -> Blob:
        self._check(pos, size)
        self.hold(_BLOB_COST)
        return Blob(self.span.part(self.base + pos, size), is_text)

    def hold(self, size: int) -> None:
        """Count bytes that stay in memory. Raises FileError when they become too many."""
        self.survey.text -= size
        if self.survey.text < 0:
            raise self.survey.too_much("holds very long texts")

    def mark(self) -> None:
        """Begin a new stack above the present one."""
        if len(self.marks) >= MAX_MARKS:
            raise self.survey.too_much(f"nests more than {MAX_MARKS} marks")
        self.marks.append(self.stack)
        self.stack = []

    def unmark(self) -> list[Value]:
        """Everything since the last mark; the stack below it is back."""
        found = self.stack
        self.stack = self.marks.pop()
        return found

    def offset(self, pos: int) -> int:
        """Where the byte at `pos` stands in its file."""
        return self.span.begin + self.base + pos

    def name(self, module: str, name: str, pos: int) -> GlobalName:
        """The record of a name that is referred to at `pos`."""
        found = self.survey.name(module, name, self.offset(pos))
        if found.name == LOADER and found.verdict == "tensor":
            self._loader = found
            self._handed_out += 1
        return found

    def again(self, value: Value) -> None:
        """Push a value that the pickle has had before."""
        self._handed_out += value is self._loader
        self.stack.append(value)

    def finish(self) -> None:
        """Note whether torch's reader of pickles went anywhere but into a call: what has it can have anything read."""
        waiting = sum(value is self._loader for stack in (self.stack, *self.marks) for value in stack)
        if self._handed_out > waiting:
            self.survey.danger(f"it hands torch.storage.{LOADER} to something that may call it", certain=True)

    def make(self, maker: Value, args: Value, pos: int) -> Made:
        """The record of a call; what is called must be a name, or the class that a torch of old stored outside."""
        self._handed_out -= maker is self._loader
        if type(maker) is Persistent and type(maker.pid) is tuple:
            maker = next((part for part in maker.pid[:2] if type(part) is GlobalName), maker)
        made = Made(maker, args)
        if type(maker) is GlobalName:
            if maker.verdict == "dangerous":
                self.survey.called(maker, args)
            elif maker.name == LOADER and maker.verdict == "tensor":
                self.survey.nested.append(made)
        elif isinstance(maker, Made | Persistent):
            self.survey.danger(f"it would call something that it has made itself, at byte {self.offset(pos)}")
        else:
            raise self.broken(pos, "a plain value is called")
        return made

    def changed(self, target: Value, pos: int) -> None:
        """Note that the file would change something that is not its own, or not a thing that can be changed."""
        if type(target) is GlobalName:
            self.survey.danger(f"it would change {target.path} itself, at byte {self.offset(pos)}")
        elif not isinstance(target, Made | Persistent):
            raise self.broken(pos, "a value is changed that cannot be")

    def broken(self, pos: int, what: str) -> CorruptFileError:
        """The error for a pickle that no unpickler would accept."""
        return self.survey.broken(f"holds a broken pickle: {what} (byte {self.offset(pos)})")


Opcode = Callable[[Machine, int], int]


class Opcodes(dict[int, Opcode]):
    """Opcodes by their bytes."""

    def of(self, char: bytes) -> Callable[[Opcode], Opcode]:
        """Decorator: the function carries out the opcode `char`."""

        def register(function: Opcode) -> Opcode:
            self[char[0]] = function
            return function

        return register
