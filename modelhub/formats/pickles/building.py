"""Opcodes that move values: the stack, the memo, and lists, tuples, dicts and sets."""

from __future__ import annotations

import struct

from modelhub.formats.pickles.literals import integer
from modelhub.formats.pickles.machine import Machine, Opcode, Opcodes
from modelhub.formats.pickles.values import Blob, GlobalName, Made, Persistent, Table, Value

_u32 = struct.Struct("<I").unpack_from

BUILDING = _TABLE = Opcodes()
_SET = GlobalName("builtins", "set", -1, "inert")


@_TABLE.of(b"(")
def _mark(m: Machine, pos: int) -> int:
    m.mark()
    return pos


@_TABLE.of(b"0")
def _pop(m: Machine, pos: int) -> int:
    if m.stack:
        m.stack.pop()
    else:
        m.unmark()
    return pos


@_TABLE.of(b"1")
def _pop_mark(m: Machine, pos: int) -> int:
    m.unmark()
    return pos


@_TABLE.of(b"\x98")
def _readonly_buffer(m: Machine, pos: int) -> int:
    """Nothing is done to bytes; a buffer can no longer be changed, which is no concern of ours."""
    if not isinstance(m.stack[-1], bytes | Blob | Made | Persistent):
        raise ValueError("no buffer")
    return pos


@_TABLE.of(b"2")
def _dup(m: Machine, pos: int) -> int:
    m.again(m.stack[-1])
    return pos


@_TABLE.of(b"q")
def _binput(m: Machine, pos: int) -> int:
    m.memo[m.data[pos]] = m.stack[-1]
    return pos + 1


@_TABLE.of(b"r")
def _long_binput(m: Machine, pos: int) -> int:
    m.memo[_u32(m.data, pos)[0]] = m.stack[-1]
    return pos + 4


@_TABLE.of(b"p")
def _put(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.memo[integer(line)] = m.stack[-1]
    return pos


@_TABLE.of(b"\x94")
def _memoize(m: Machine, pos: int) -> int:
    m.memo[len(m.memo)] = m.stack[-1]
    return pos


@_TABLE.of(b"h")
def _binget(m: Machine, pos: int) -> int:
    m.again(m.memo[m.data[pos]])
    return pos + 1


@_TABLE.of(b"j")
def _long_binget(m: Machine, pos: int) -> int:
    m.again(m.memo[_u32(m.data, pos)[0]])
    return pos + 4


@_TABLE.of(b"g")
def _get(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    m.again(m.memo[integer(line)])
    return pos


@_TABLE.of(b"l")
def _list(m: Machine, pos: int) -> int:
    found = m.unmark()
    m.stack.append(found)
    return pos


@_TABLE.of(b"t")
def _tuple(m: Machine, pos: int) -> int:
    found = m.unmark()
    m.stack.append(tuple(found))
    return pos


def _tuple_of(size: int) -> Opcode:
    def push(m: Machine, pos: int) -> int:
        stack = m.stack
        if len(stack) < size:
            raise IndexError
        stack[-size:] = [tuple(stack[-size:])]
        return pos

    return push


_TABLE |= {0x85: _tuple_of(1), 0x86: _tuple_of(2), 0x87: _tuple_of(3)}


@_TABLE.of(b"d")
def _dict(m: Machine, pos: int) -> int:
    found = m.unmark()
    table = Table()
    _set(m, table, found, pos)
    m.stack.append(table)
    return pos


@_TABLE.of(b"s")
def _setitem(m: Machine, pos: int) -> int:
    value, key = m.stack.pop(), m.stack.pop()
    _set(m, m.stack[-1], [key, value], pos)
    return pos


@_TABLE.of(b"u")
def _setitems(m: Machine, pos: int) -> int:
    found = m.unmark()
    _set(m, m.stack[-1], found, pos)
    return pos


def _set(m: Machine, target: Value, found: list[Value], pos: int) -> None:
    if len(found) % 2:
        raise ValueError("a key without a value")
    if not found:
        return  # nothing is asked of the target, whatever it is
    if type(target) is list:
        _replace(target, found)
    elif not isinstance(target, Table | Made):
        m.changed(target, pos)
    elif target.pairs is None:
        target.pairs = found
    else:
        target.pairs += found


def _replace(target: list[Value], found: list[Value]) -> None:
    """Items of a list by their numbers; what a computed number or a slice would do is left undone."""
    for key, value in zip(found[::2], found[1::2], strict=True):
        if isinstance(key, int):
            target[key] = value
        elif type(key) is not Made:
            raise ValueError("no place in a list")


@_TABLE.of(b"a")
def _append(m: Machine, pos: int) -> int:
    value = m.stack.pop()
    _add(m, m.stack[-1], [value], pos)
    return pos


@_TABLE.of(b"e")
def _appends(m: Machine, pos: int) -> int:
    found = m.unmark()
    _add(m, m.stack[-1], found, pos)
    return pos


_TABLE[0x90] = _appends


def _add(m: Machine, target: Value, found: list[Value], pos: int) -> None:
    if not found:
        return
    if type(target) is list:
        target += found
    elif type(target) is not Made:
        m.changed(target, pos)
    elif target.added is None:
        target.added = found
    else:
        target.added += found


@_TABLE.of(b"\x8f")
def _empty_set(m: Machine, pos: int) -> int:
    m.stack.append(Made(_SET, ()))
    return pos


@_TABLE.of(b"\x91")
def _frozenset(m: Machine, pos: int) -> int:
    made = Made(_SET, ())
    made.added = m.unmark()
    m.stack.append(made)
    return pos
