"""What the symbolic machine builds: plain values, and inert records of what a real unpickler would have done.

Numbers, texts, bytes, lists and tuples are Python's own; everything else is one of the records below. Nothing here is
ever compared, hashed, shown or called: a file chooses how deep its values are nested and what they contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from modelhub.formats.pickles.span import Span

#: Characters of a key that can be part of a name.
MAX_KEY = 4096
#: Anything a pickle can hold, as the machine shows it.
Value = Any

Verdict = Literal["tensor", "inert", "unknown", "dangerous"]


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A module and a name in it that the file refers to, at byte `offset`, and what is thought of it.

    `offset` counts from the start of the file; for what was packed or encoded, from the start of that piece unpacked.
    `verdict`: tensor (part of how tensors are stored), inert (known and harmless), unknown, dangerous (would run code).
    """

    module: str
    name: str
    offset: int
    verdict: Verdict

    @property
    def path(self) -> str:
        """Both with a dot between, as Python would write it."""
        return f"{self.module}.{self.name}"


class Made:
    """An object that a call would have made: `maker` is what would be called, `args` with what.

    `states` are the arguments of BUILD, `pairs` keys and values set on it in turn, `added` what was appended.
    """

    __slots__ = ("added", "args", "maker", "pairs", "states")

    def __init__(self, maker: Value, args: Value) -> None:
        self.maker, self.args = maker, args
        self.states: list[Value] | None = None
        self.pairs: list[Value] | None = None
        self.added: list[Value] | None = None

    @property
    def path(self) -> str:
        """The dotted name of the maker; "" when it has none."""
        return self.maker.path if type(self.maker) is GlobalName else ""


class Table:
    """A dict: keys and values in turn, as the file set them, the same key perhaps several times."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[Value] | None = None


class Persistent:
    """A thing that lives outside the pickle, by the id that the pickle gives it: for torch a storage."""

    __slots__ = ("pid",)

    def __init__(self, pid: Value) -> None:
        self.pid = pid


class Blob:
    """Bytes too many to hold on to: where they stand. `is_text` tells the UTF-8 of a text from mere bytes."""

    __slots__ = ("is_text", "span")

    def __init__(self, span: Span, is_text: bool) -> None:
        self.span, self.is_text = span, is_text


_DICTS = {"collections.OrderedDict": 0, "builtins.dict": 0, "collections.Counter": 0, "collections.defaultdict": 1}


def is_mapping(value: Value) -> bool:
    """Whether `value` is a dict or one of its kin in the standard library."""
    return type(value) is Table or (type(value) is Made and value.path in _DICTS)


def pairs_of(value: Table | Made) -> Iterator[tuple[Value, Value]]:
    """Keys and values of a mapping, as they were set, or of what was set on any other object."""
    if type(value) is Made and value.path in _DICTS:
        yield from _given(value.args, _DICTS[value.path])
    flat = value.pairs or []
    yield from zip(flat[::2], flat[1::2], strict=True)


def _given(args: Value, at: int) -> Iterator[tuple[Value, Value]]:
    """The pairs that a dict is constructed from: a table, or a list of pairs."""
    first = args[at] if type(args) is tuple and len(args) > at else None
    if isinstance(first, Table):
        yield from pairs_of(first)
    for pair in first if isinstance(first, list | tuple) else ():
        if type(pair) in (list, tuple) and len(pair) == 2:
            yield pair[0], pair[1]


def fields(value: Value) -> dict[str, Value]:
    """Entries of a mapping whose keys are texts; of a key set twice, the last."""
    return {text: item for key, item in pairs_of(value) if (text := key_text(key)) is not None}


def key_text(key: Value) -> str | None:
    """A key as part of a tensor's name: text of up to 4096 characters, an integer in decimal; None for others."""
    if type(key) is int and key.bit_length() <= 64:
        return str(key)
    if type(key) not in (str, bytes) or len(key) > MAX_KEY:
        return None
    return key if isinstance(key, str) else _decoded(key)


def _decoded(key: bytes) -> str:
    """What Python 2 wrote, as UTF-8 or else as Latin-1, which has a letter for every byte."""
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        return key.decode("latin-1")


def state_of(value: Made) -> dict[str, Value]:
    """The attributes that an object was given by BUILD; the last to be set wins."""
    found: dict[str, Value] = {}
    for state in value.states or ():
        for table in state[:2] if type(state) is tuple else (state,):
            if is_mapping(table):
                found.update(fields(table))
    return found
