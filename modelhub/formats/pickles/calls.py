"""Opcodes that name things of other modules and call them: here they are noted, and nothing is looked up or called."""

from __future__ import annotations

import struct
from collections.abc import Callable

from modelhub.formats.pickles.machine import Machine, Opcode, Opcodes
from modelhub.formats.pickles.values import Blob, GlobalName, Made, Persistent, Table, Value

_u16, _i32 = struct.Struct("<H").unpack_from, struct.Struct("<i").unpack_from

CALLS = _TABLE = Opcodes()


@_TABLE.of(b"c")
def _global(m: Machine, pos: int) -> int:
    at = pos - 1
    module, pos = m.line(pos)
    name, pos = m.line(pos)
    m.stack.append(m.name(module.decode(), name.decode(), at))
    return pos


@_TABLE.of(b"\x93")
def _stack_global(m: Machine, pos: int) -> int:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) in (str, bytes) and type(module) in (str, bytes):
        m.stack.append(m.name(_plain(module), _plain(name), pos - 1))
        return pos
    if not isinstance(name, Made | Persistent | Blob) and not isinstance(module, Made | Persistent | Blob):
        raise ValueError("a name that is no text")
    m.survey.danger(f"it computes the name of what it would call, at byte {m.offset(pos - 1)}")
    m.stack.append(Made(GlobalName("", "", m.offset(pos - 1), "dangerous"), ()))
    return pos


def _plain(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


@_TABLE.of(b"R")
def _reduce(m: Machine, pos: int) -> int:
    args = m.stack.pop()
    m.stack[-1] = m.make(m.stack[-1], args, pos)
    return pos


_TABLE[0x81] = _reduce


@_TABLE.of(b"\x92")
def _newobj_ex(m: Machine, pos: int) -> int:
    more, args = m.stack.pop(), m.stack.pop()
    m.stack[-1] = m.make(m.stack[-1], args, pos)
    m.stack[-1].states = [more]
    return pos


@_TABLE.of(b"o")
def _obj(m: Machine, pos: int) -> int:
    found = m.unmark()
    maker = found[0]
    m.stack.append(m.make(maker, tuple(found[1:]), pos))
    return pos


@_TABLE.of(b"i")
def _inst(m: Machine, pos: int) -> int:
    at = pos - 1
    module, pos = m.line(pos)
    name, pos = m.line(pos)
    maker = m.name(module.decode(), name.decode(), at)
    args = tuple(m.unmark())
    m.stack.append(m.make(maker, args, at))
    return pos


@_TABLE.of(b"b")
def _build(m: Machine, pos: int) -> int:
    state = m.stack.pop()
    target = m.stack[-1]
    if type(target) is not Made:
        if not _is_nothing(state):
            m.changed(target, pos)
    elif target.states is None:
        target.states = [state]
    else:
        target.states.append(state)
    return pos


def _is_nothing(state: Value) -> bool:
    """Whether BUILD leaves alone what it is given this state for; of computed states nobody knows."""
    if type(state) is tuple and len(state) == 2:
        return all(type(part) is not tuple and _is_nothing(part) for part in state)
    if isinstance(state, Table):
        return not state.pairs
    return isinstance(state, Made | Persistent) or (not isinstance(state, GlobalName | Blob) and not state)


@_TABLE.of(b"P")
def _persid(m: Machine, pos: int) -> int:
    line, pos = m.line(pos)
    _outside(m, line.decode())
    return pos


@_TABLE.of(b"Q")
def _binpersid(m: Machine, pos: int) -> int:
    _outside(m, m.stack.pop())
    return pos


def _outside(m: Machine, pid: Value) -> None:
    found = Persistent(pid)
    m.persistents.append(found)
    m.stack.append(found)


def _byte(data: bytes, pos: int) -> tuple[int]:
    return (data[pos],)


def _ext(read: Callable[[bytes, int], tuple[int]], width: int) -> Opcode:
    """A name that is looked up in a table of the program which loads the file."""

    def push(m: Machine, pos: int) -> int:
        code = read(m.data, pos)[0]
        m.survey.danger(f"it refers to number {code} of the registered extensions, at byte {m.offset(pos - 1)}")
        m.stack.append(GlobalName("copyreg", f"extension {code}", m.offset(pos - 1), "dangerous"))
        return pos + width

    return push


_TABLE |= {0x82: _ext(_byte, 1), 0x83: _ext(_u16, 2), 0x84: _ext(_i32, 4)}
