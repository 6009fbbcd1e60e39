"""All opcodes of pickle protocols 0 to 5, carried out symbolically: records are made where an unpickler would call.

Every opcode is a function of the machine and the position behind its byte; it returns the position of the next one. The
meaning of each is documented in `pickletools` of the standard library.
"""

from __future__ import annotations

import struct

from modelhub.formats.pickles.building import BUILDING
from modelhub.formats.pickles.calls import CALLS
from modelhub.formats.pickles.literals import LITERALS
from modelhub.formats.pickles.machine import Machine, Opcode, Opcodes
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Value

_STOPPED = -1
_u64 = struct.Struct("<Q").unpack_from

_TABLE = Opcodes()


def run(span: Span, survey: Survey, start: int = 0) -> tuple[Value, Machine]:
    """Run the pickle at byte `start` of `span` to its STOP: its value, and the machine with `end` behind the STOP.

    Raises CorruptFileError for a pickle that is broken or cut short, FileError for one beyond the limits.
    """
    machine = Machine(span, survey, start)
    pos = step = 0
    try:
        for step in range(survey.steps):  # noqa: B007 (counted in `finally`)
            if pos > machine.safe:
                pos = machine.refill(pos)
            pos = _OPCODES[machine.data[pos]](machine, pos + 1)
            if pos < 0:
                return machine.stack[-1], machine
    except (IndexError, KeyError, ValueError, struct.error):
        raise machine.broken(max(pos, 0), "it is cut short or contradicts itself") from None
    finally:
        survey.steps = max(0, survey.steps - step - 1)
        machine.finish()
    raise survey.too_much("has a pickle of more steps")


@_TABLE.of(b"\x80")
def _proto(m: Machine, pos: int) -> int:
    if m.data[pos] > 5:
        raise m.broken(pos, f"protocol {m.data[pos]} is not known")
    return pos + 1


@_TABLE.of(b"\x95")
def _frame(m: Machine, pos: int) -> int:
    _u64(m.data, pos)  # its length is a hint for buffers, and unpicklers differ in how much they trust it
    return pos + 8


@_TABLE.of(b".")
def _stop(m: Machine, pos: int) -> int:
    m.end = m.base + pos
    m.stack[-1]
    return _STOPPED


def _unknown(m: Machine, pos: int) -> int:
    raise m.broken(pos - 1, f"no opcode is {m.data[pos - 1]:#04x}")


_ALL = LITERALS | BUILDING | CALLS | _TABLE
_OPCODES: list[Opcode] = [_ALL.get(code, _unknown) for code in range(256)]
