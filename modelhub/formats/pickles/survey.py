"""What is learnt of a file on the way, and how much work it may still cause: names, findings, dangers, limits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, UnsafePickleError
from modelhub.formats.pickles.span import Span, Spool
from modelhub.formats.pickles.values import GlobalName, Made, Value
from modelhub.formats.pickles.verdicts import judge, modern
from modelhub.text import one_line, shorten

#: Steps of the machine over all pickles of a file: some 24,000 tensors; real checkpoints stay below a fifth of it.
MAX_STEPS = 1_000_000
#: Bytes of names and other texts that are held in memory.
MAX_TEXT = 32_000_000
MAX_GLOBALS, MAX_NAME = 10_000, 1000
MAX_FINDINGS = 1000
#: Values that are visited in search of tensors; tied parts of a file are visited more than once.
MAX_VISITS = 600_000
#: Bytes of TorchScript code that are looked into.
MAX_CODE = 2**22
#: Entries of zip archives, in all of them together where a pickle holds some.
MAX_ENTRIES = 100_000
#: Any file may unpack to so much, and a large one to a multiple of its size.
UNPACKED, UNPACKED_TIMES = 64 * 2**20, 4
#: Tensors that stand scattered may make it read as often, and the first so many bytes more: parts of one storage lie
#: within each other, and what lies between two elements is read with them.
SCATTERED, SCATTERED_TIMES = 256 * 2**20, 32

_BROKEN = "The file is damaged or not what its name says; download or copy it again."


def quoted(value: object, most: int = 60) -> str:
    """A text or number of the file, on one line, with quotes and escapes, and not too long."""
    if isinstance(value, str | bytes):
        return shorten(one_line(repr(value[: 4 * most])), most)
    return shorten(str(value), most) if type(value) in (int, float, bool) and _small(value) else "…"


def _small(value: object) -> bool:
    return not isinstance(value, int) or value.bit_length() < 200


class Survey:
    """One reading of one file: what it refers to, what is wrong with it, and the limits that it has left.

    `container` and `records` (names and sizes in bytes) are those of the outermost archive.
    `max_output` is how many bytes its tensors may have, and what is packed in it may unpack to, where a user said so.
    """

    def __init__(self, path: Path, size: int, max_output: int | None = None) -> None:
        self.path, self.size = path, size
        self.container = ""
        self.records: tuple[tuple[str, int], ...] = ()
        self.steps, self.text, self.visits = MAX_STEPS, MAX_TEXT, MAX_VISITS
        self.entries, self.code = MAX_ENTRIES, MAX_CODE
        self.is_trusted = max_output is not None
        self.output = max(UNPACKED, UNPACKED_TIMES * size) if max_output is None else max_output
        self.scattered = SCATTERED + SCATTERED_TIMES * size
        self.spool = Spool(path, self.output)
        self.findings: list[str] = []
        self.losses: list[str] = []
        self.dangers: list[str] = []
        self.doubting = False
        self._calls = MAX_FINDINGS
        self.nested: list[Made] = []
        self.raw: dict[int, tuple[Value, Span]] = {}
        self._names: dict[tuple[str, str], GlobalName] = {}

    @property
    def names(self) -> tuple[GlobalName, ...]:
        """Every name that the file refers to, in the order of their first use."""
        return tuple(self._names.values())

    def name(self, module: str, name: str, offset: int) -> GlobalName:
        """The record of a name; the same record for the same name. A dangerous one is noted."""
        if len(module) + len(name) > MAX_NAME:
            raise self.too_much("refers to a very long name")
        key = modern(module, name)
        if key not in self._names:
            if len(self._names) >= MAX_GLOBALS:
                raise self.too_much(f"refers to more than {MAX_GLOBALS} different names")
            self._names[key] = GlobalName(*key, offset, judge(module, name))
            if self._names[key].verdict == "dangerous":
                self.danger(f"it refers to {quoted(self._names[key].path)} at byte {offset}", certain=True)
        return self._names[key]

    def note_records(self, container: str, records: Iterable[tuple[str, int]]) -> None:
        """Keep names and sizes of an archive's members, those of the outermost archive only."""
        if container == self.container and not self.records:
            self.records = tuple(records)

    def called(self, maker: GlobalName, args: Value) -> None:
        """Note what a dangerous name would have been called with."""
        words = args if type(args) is tuple else ()
        self._calls -= 1
        if words and self._calls >= 0:
            said = ", ".join(quoted(word) if type(word) in (str, bytes, int) else "…" for word in words[:4])
            self.danger(f"it would call {quoted(maker.path)} with {said}", certain=True)

    def danger(self, what: str, certain: bool = False) -> None:
        """Note something that would have run code; in bytes that need not be a pickle, only what is certain."""
        if (certain or not self.doubting) and len(self.dangers) < MAX_FINDINGS and what not in self.dangers[:50]:
            self.dangers.append(what)

    def find(self, what: str, *, loss: bool = False) -> None:
        """Note something that a user may want to know; `loss`: it tells of weights that are left out."""
        if len(self.findings) < MAX_FINDINGS and what not in self.findings[:50]:
            self.findings.append(what)
            if loss:
                self.losses.append(what)

    def claim(self, size: int) -> None:
        """Count the bytes of one more tensor. Raises FileError when there are too many."""
        self.output -= size
        if self.output < 0:
            raise self.too_much(f"claims tensors of many times its {self.size} bytes")

    def reach(self, size: int) -> None:
        """Count the bytes from the first to the last of a tensor that stands scattered. Raises as `claim`."""
        self.scattered -= size
        if self.scattered < 0:
            raise self.too_much("scatters its tensors all over itself")

    def visit(self) -> None:
        """Count one more value of the search for tensors. Raises FileError when there are too many."""
        self.visits -= 1
        if self.visits < 0:
            raise self.too_much(f"holds more than {MAX_VISITS} values")

    def spend(self, steps: int) -> None:
        """Count work beside that of the machine, in its steps. Raises FileError when it becomes too much."""
        self.steps -= steps
        if self.steps < 0:
            raise self.too_much("holds files within files, or archives, without end")

    def broken(self, what: str) -> CorruptFileError:
        """The error for a file whose bytes contradict its format."""
        return CorruptFileError(f"{self.path} {what}.", _BROKEN)

    def too_much(self, what: str) -> FileError:
        """The error for a file that would cost more than any real one."""
        return FileError(f"{self.path} {what}, more than any model file needs.", "It may be made to exhaust memory.")

    def unsafe(self) -> UnsafePickleError:
        """The error for a file that would run code."""
        shown = "; ".join(self.dangers[:3])
        more = f"; and {len(self.dangers) - 3} findings more" if len(self.dangers) > 3 else ""
        return UnsafePickleError(
            f"{self.path} would run code of its own if it were loaded: {shown}{more}.",
            "Nothing of it was run. Do not open it with other programs; look for the model as safetensors.",
        )


def args_of(value: Value) -> tuple[Value, ...]:
    """The arguments that an object was made with; none for anything else."""
    return value.args if type(value) is Made and type(value.args) is tuple else ()
