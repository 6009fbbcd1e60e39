"""Opcodes that stand for plain values: numbers, texts, bytes, and empty containers."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable

from modelhub.formats.pickles.machine import Machine, Opcode, Opcodes
from modelhub.formats.pickles.values import GlobalName, Made, Table, Value

_MAX_DIGITS = 64
_MAX_LONG = 1024

_u16, _i32, _u32 = struct.Struct("<H").unpack_from, struct.Struct("<i").unpack_from, struct.Struct("<I").unpack_from
_u64, _f64 = struct.Struct("<Q").unpack_from, struct.Struct(">d").unpack_from
_BYTEARRAY, _INT, _FLOAT = (GlobalName("builtins", name, -1, "inert") for name in ("bytearray", "int", "float"))

LITERALS = _TABLE = Opcodes()


def _constant(value: Value) -> Opcode:
    def push(m: Machine, pos: int) -> int:
        m.stack.append(value)
        return pos

    return push


def _fresh(kind: type[Value]) -> Opcode:
    def push(m: Machine, pos: int) -> int:
        m.stack.append(kind())
        return pos

    return push


_TABLE |= {ord("N"): _constant(None), 0x88: _constant(True), 0x89: _constant(False), ord(")"): _constant(())}
_TABLE |= {ord("]"): _fresh(list), ord("}"): _fresh(Table)}


@_TABLE.of(b"J")
def _binint(m: Machine, pos: int) -> int:
    m.stack.append(_i32(m.data, pos)[0])
    return pos + 4


@_TABLE.of(b"K")
def _binint1(m: Machine, pos: int) -> int:
    m.stack.append(m.data[pos])
    return pos + 1


@_TABLE.of(b"M")
def _binint2(m: Machine, pos: int) -> int:
    m.stack.append(_u16(m.data, pos)[0])
    return pos + 2


@_TABLE.of(b"G")
def _binfloat(m: Machine, pos: int) -> int:
    m.stack.append(_f64(m.data, pos)[0])
    return pos + 8


def integer(line: bytes, base: int = 10) -> int:
    """A number as Python writes it; base 0 allows 0x10. Raises ValueError for what is none or longer than 64 digits."""
    if len(line) > _MAX_DIGITS:
        raise ValueError("not an integer")
    return int(line.decode(), base)


def _number(line: bytes) -> Value:
    """An integer that a pickle spells; one that no size or place can be is left unread."""
    return integer(line, 0) if len(line) <= _MAX_DIGITS else Made(_INT, ())


@_TABLE.of(b"I")
def _int(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.stack.append(line == b"01" if line in (b"00", b"01") else _number(line))
    return pos


@_TABLE.of(b"L")
def _long(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.stack.append(_number(line.removesuffix(b"L")))
    return pos


@_TABLE.of(b"F")
def _float(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.stack.append(float(line) if len(line) <= _MAX_LONG else Made(_FLOAT, ()))
    return pos


def _long_of(m: Machine, pos: int, size: int) -> int:
    if size < 0:
        raise m.broken(pos, f"an integer of {size} bytes")
    found = m.raw(pos, size)
    if isinstance(found, bytes) and size <= _MAX_LONG:
        m.stack.append(int.from_bytes(found, "little", signed=True))
    else:
        m.stack.append(Made(_INT, ()))
    return pos + size


@_TABLE.of(b"\x8a")
def _long1(m: Machine, pos: int) -> int:
    return _long_of(m, pos + 1, m.data[pos])


@_TABLE.of(b"\x8b")
def _long4(m: Machine, pos: int) -> int:
    return _long_of(m, pos + 4, _i32(m.data, pos)[0])


def _sized(read: Callable[[bytes, int], tuple[int]], width: int, is_text: bool) -> Opcode:
    """An opcode whose operand is a length of `width` bytes and so many bytes."""

    def push(m: Machine, pos: int) -> int:
        size = read(m.data, pos)[0]
        pos += width
        m.stack.append(m.text(pos, size) if is_text else m.raw(pos, size))
        return pos + size

    return push


def _u8(data: bytes, pos: int) -> tuple[int]:
    return (data[pos],)


_TABLE |= {ord("X"): _sized(_u32, 4, True), 0x8C: _sized(_u8, 1, True), 0x8D: _sized(_u64, 8, True)}
_TABLE |= {ord("B"): _sized(_u32, 4, False), ord("C"): _sized(_u8, 1, False), 0x8E: _sized(_u64, 8, False)}
_TABLE |= {ord("T"): _sized(_u32, 4, False), ord("U"): _sized(_u8, 1, False)}


@_TABLE.of(b"\x96")
def _bytearray8(m: Machine, pos: int) -> int:
    """Bytes that the pickle can change afterwards."""
    size = _u64(m.data, pos)[0]
    m.stack.append(Made(_BYTEARRAY, (m.raw(pos + 8, size),)))
    return pos + 8 + int(size)


@_TABLE.of(b"S")
def _string(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("no quotes")
    m.stack.append(codecs.escape_decode(line[1:-1])[0] if b"\\" in line else line[1:-1])
    return pos


@_TABLE.of(b"V")
def _unicode(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.stack.append(line.decode("raw-unicode-escape"))
    return pos
