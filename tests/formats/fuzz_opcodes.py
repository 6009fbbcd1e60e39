"""Pickles made at random after the grammar of all opcodes, and what has to hold for each of them.

Every file is given by a list of numbers, the choices that are made while it is written; so whatever fails can be made
smaller and made again.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from modelhub.errors import ModelhubError
from modelhub.formats.pickles.examine import Examination, examine
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.legacy import MAGIC
from modelhub.formats.pickles.verdicts import judge, modern

_NAMES = [
    ("os", "mkdir"), ("posix", "system"), ("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage"),
    ("builtins", "list"), ("__builtin__", "reduce"), ("copy_reg", "_reconstructor"), ("canary_of_modelhub", "Key"), ("torch.storage", "_load_from_bytes"),
    ("collections", "_sys.modules"), ("types", "SimpleNamespace"), ("_codecs", "encode"), ("x", "y"), ("é", "ñ"), ("commands", "getoutput"),
    ("numpy.core.multiarray", "_reconstruct"), ("torch.nn.parameter", "Parameter"), ("functools", "partial"), ("cPickle", "loads"),
]  # fmt: skip
_TEXTS = [
    "storage",
    "0",
    "cpu",
    "",
    "os",
    "mkdir",
    "_parameters",
    "state_dict",
    "latin1",
    "w",
    "é\n",
    "append",
    "x" * 300,
]
_BYTES = [text.encode() for text in _TEXTS] + [b"\xff\0", pickle.dumps({}, 2), b"cos\nmkdir\n(tR."]
_INTS = [
    0,
    1,
    2,
    3,
    5,
    127,
    128,
    255,
    256,
    65535,
    -1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
    119547037146038801333356,
]


class Choices:
    """A list of numbers, used up one by one; zeros behind its end."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def below(self, most: int) -> int:
        """The next choice of `most`."""
        return next(self._numbers, 0) % most

    def of(self, things: Any) -> Any:
        """One of a sequence."""
        return things[self.below(len(things))]


def _line(text: str) -> bytes:
    return text.replace("\n", "").encode() + b"\n"


def _counted(code: str) -> Callable[[Choices], bytes]:
    """Bytes behind their length, which is wrong at times."""

    def make(choose: Choices) -> bytes:
        data = choose.of(_BYTES)
        size = len(data) if choose.below(20) else choose.of(_INTS)
        limit = 256 ** struct.calcsize(code)
        if not code.isupper():
            return struct.pack("<" + code, (size + limit // 2) % limit - limit // 2) + data
        return struct.pack("<" + code, size % limit) + data[: limit - 1]

    return make


def _packed(code: str) -> Callable[[Choices], bytes]:
    def make(choose: Choices) -> bytes:
        size = struct.calcsize(code)
        return (choose.of(_INTS) % 256**size).to_bytes(size, "little")

    return make


def _memo(code: str) -> Callable[[Choices], bytes]:
    return lambda choose: choose.below(4).to_bytes(struct.calcsize(code), "little")


_OPERANDS: dict[str, Callable[[Choices], bytes]] = {
    "uint1": _packed("B"), "uint2": _packed("H"), "int4": _packed("I"), "uint4": _packed("I"), "uint8": lambda c: struct.pack("<Q", c.below(40)),
    "float8": lambda c: struct.pack(">d", c.of([0.0, 1.5, float("nan")])), "string1": _counted("B"), "bytes1": _counted("B"), "unicodestring1": _counted("B"),
    "string4": _counted("i"), "bytes4": _counted("I"), "unicodestring4": _counted("I"), "bytes8": _counted("Q"), "bytearray8": _counted("Q"),
    "unicodestring8": _counted("Q"), "long1": _counted("B"), "long4": _counted("i"),
    "stringnl": lambda c: b"'" + _line(c.of(_TEXTS).replace("é", "\\xe9"))[:-1] + c.of([b"'\n", b"\n", b"'\r\n"]),
    "unicodestringnl": lambda c: c.of(_TEXTS).replace("\n", "").encode("raw-unicode-escape") + b"\n",
    "stringnl_noescape": lambda c: c.of([b"0\n", b"abc\n", b"\n", b"\xff\n"]),
    "stringnl_noescape_pair": lambda c: b"".join(map(_line, c.of(_NAMES))),
    "decimalnl_short": lambda c: c.of([b"00\n", b"01\n", b"5\n", b"-7\n", b"x\n", b" 4 \n", b"1_0\n", b"9" * 80 + b"\n"]),
    "decimalnl_long": lambda c: c.of([b"5L\n", b"5\n", b"-12L\n", b"L\n", b"119547037146038801333356L\n"]),
    "floatnl": lambda c: c.of([b"1.5\n", b"nan\n", b"-inf\n", b"\n", b"1e5\n", b"1_0.0\n"]),
}  # fmt: skip

_OPCODES = [opcode for opcode in pickletools.opcodes if opcode.name != "STOP"]
_BY_NAME = {opcode.name: opcode for opcode in pickletools.opcodes}
#: Opcodes that are chosen more often than others: those that name, call and remember.
_OFTEN = [
    _BY_NAME[name]
    for name in [
        "GLOBAL",
        "STACK_GLOBAL",
        "INST",
        "OBJ",
        "REDUCE",
        "NEWOBJ",
        "NEWOBJ_EX",
        "BUILD",
        "BINPUT",
        "BINGET",
        "MEMOIZE",
        "MARK",
        "TUPLE",
        "EMPTY_TUPLE",
        "EMPTY_DICT",
        "SHORT_BINUNICODE",
        "BINPERSID",
        "APPENDS",
        "SETITEMS",
        "TUPLE1",
        "TUPLE2",
    ]
]


def _encode(opcode: Any, choose: Choices) -> bytes:
    code = opcode.code.encode("latin-1")
    if opcode.arg is None:
        return code
    if opcode.name in ("GET", "PUT"):
        return code + b"%d\n" % choose.below(4)
    if opcode.name in ("BINGET", "BINPUT", "LONG_BINGET", "LONG_BINPUT"):
        return code + _memo("B" if opcode.arg.name == "uint1" else "I")(choose)
    if opcode.name == "PROTO":
        return code + bytes([choose.below(6)])
    return code + _OPERANDS[opcode.arg.name](choose)


class _Depth:
    """How many values stand above each mark: enough to write opcodes that find what they need."""

    def __init__(self) -> None:
        self.stack = [0]

    def fits(self, opcode: Any) -> bool:
        needs = [thing.name for thing in opcode.stack_before]
        if "mark" in needs:
            if len(self.stack) < 2 or needs.index("mark") > self.stack[-2]:
                return False
            return self.stack[-1] >= len([name for name in needs if name not in ("mark", "stackslice")]) - needs.index(
                "mark"
            )
        return self.stack[-1] >= len(needs)

    def apply(self, opcode: Any) -> None:
        needs = [thing.name for thing in opcode.stack_before]
        if "mark" in needs:
            if len(self.stack) > 1:
                self.stack.pop()
            self.stack[-1] -= needs.index("mark")
        elif opcode.name == "POP" and not self.stack[-1] and len(self.stack) > 1:
            self.stack.pop()
            return
        else:
            self.stack[-1] -= len(needs)
        if opcode.name == "MARK":
            self.stack.append(0)
        else:
            self.stack[-1] += len(opcode.stack_after)
        self.stack[-1] = max(0, self.stack[-1])


def write(numbers: list[int]) -> bytes:
    """The pickle that a list of choices stands for; most are well-formed up to their end, some lie somewhere."""
    choose, depth, out = Choices(numbers), _Depth(), []
    for _ in range(min(len(numbers), 80)):
        opcode = choose.of(_OFTEN if choose.below(2) else _OPCODES)
        if not depth.fits(opcode) and choose.below(12):
            opcode = choose.of(
                [
                    _BY_NAME[name]
                    for name in ("SHORT_BINUNICODE", "EMPTY_DICT", "BININT1", "GLOBAL", "MARK", "EMPTY_TUPLE")
                ]
            )
        out.append(_encode(opcode, choose))
        depth.apply(opcode)
    return b"".join(out) + (b"N." if len(numbers) % 7 else b"")


opcodes = st.lists(st.integers(0, 2**16), min_size=1, max_size=160).map(write)


class _Stand:
    """What stands for everything that a pickle names or makes: it can be called, filled and given a state."""

    def __new__(cls, *args: Any, **more: Any) -> Any:
        return object.__new__(_Stand)

    def __init__(self, *args: Any, **more: Any) -> None:
        pass

    def __call__(self, *args: Any, **more: Any) -> Any:
        return _Stand()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Nothing."""

    extend = add = append


class Recorder(pickle._Unpickler):  # type: ignore[name-defined]
    """Python's own unpickler, which notes the names that it is asked for and makes nothing of them."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")
        self.asked: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Note it."""
        self.asked.add(modern(module, name))
        return _Stand

    def persistent_load(self, pid: Any) -> Any:
        """Anything."""
        return _Stand()


def record(data: bytes) -> tuple[set[tuple[str, str]], bool]:
    """The names that Python would ask for, and whether it reads the pickle to its end."""
    recorder = Recorder(data)
    try:
        is_whole = recorder.load() != MAGIC  # behind which there is more
    except (Exception, RecursionError):
        is_whole = False
    return recorder.asked, is_whole


#: What Python tells of everything that a payload could do.
_EVENTS = (
    "import", "exec", "compile", "open", "os.", "subprocess.", "pickle.", "marshal.", "ctypes.", "socket.", "shutil.", "pty.",
    "urllib.", "sqlite3.", "signal.",
)  # fmt: skip
_NAMELESS = getattr(os, "O_TMPFILE", 0)


class Watch:
    """What a process does behind the back of the code that is tested: imports, programs, files other than its own."""

    def __init__(self) -> None:
        self.on, self.seen = False, []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event.startswith(_EVENTS) and not (event == "open" and self._is_fine(*args)):
            self.seen.append((event, args))

    def _is_fine(self, path: Any, mode: str | None, flags: int) -> bool:
        """Reading is, and the temporary file for what is unpacked, which has no name."""
        is_reading = mode in (None, "r", "rb") and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return is_reading or path == tempfile.gettempdir() or flags & _NAMELESS == _NAMELESS

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch what is done meanwhile; AssertionError for anything but reading."""
        self.seen, self.on = [], True
        try:
            yield
        finally:
            self.on = False
        assert not self.seen, self.seen


WATCH = Watch()


def check_reading(data: bytes, folder: Path) -> Examination:
    """Whatever the bytes are: a report or an error in words, nothing else happens, and the two readers agree."""
    path = folder / "soup.pt"
    path.write_bytes(data)
    with WATCH.over():
        found = examine(path)
        for salvage in (False, True):
            try:
                with PickleFile(path, salvage=salvage) as file:
                    assert salvage or not file.dangers
                    assert (file.header, file.dangers) == (found.header, found.dangers)
                    _read_all(file)
            except ModelhubError as error:
                _check_words(error)
                assert found.dangers or found.error
    return found


def _read_all(file: PickleFile) -> None:
    """Read every tensor; only bytes that are packed can turn out to be damaged."""
    for name in file.header.tensors:
        try:
            file.read_bytes(name)
        except ModelhubError as error:
            _check_words(error)
            assert file.place(name) is None


def _check_words(error: ModelhubError) -> None:
    assert "soup.pt" in error.message
    assert error.exit_code == 3


def check_opcodes(data: bytes, folder: Path) -> None:
    """`check_reading`; and what Python reads to its end is read to its end, all names that it asks for are reported."""
    found = check_reading(data, folder)
    asked, is_whole = record(data)
    if not is_whole:
        return
    if not any(module.startswith(("torch", "numpy")) for module, _ in asked):  # tensors may be wrong in many ways
        assert found.error is None, found.error
    if found.error is None:
        assert asked <= {(name.module, name.name) for name in found.globals}
    if any(judge(*name) == "dangerous" for name in asked):
        assert found.dangers
