"""Files of torch 0.1.10 to 1.5: five pickles one after another, then the storages.

Magic number, protocol version 1001, facts about the machine, the object, the keys of the storages in their order; then
for every key the number of elements (int64) and the elements, little-endian.
"""

from __future__ import annotations

from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.opcodes import run
from modelhub.formats.pickles.span import Data, Span
from modelhub.formats.pickles.storages import Reference, reference
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Persistent, Value

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read_legacy(span: Span, survey: Survey, begin: int) -> tuple[Archive, int]:
    """The file behind its magic number, which ends at `begin`, and where its last storage ends.

    Raises CorruptFileError when it is cut short or contradicts itself.
    """
    version, machine = run(span, survey, begin)
    _, machine = run(span, survey, machine.end)
    root, body = run(span, survey, machine.end)
    keys, machine = run(span, survey, body.end)
    if type(version) is not int or version != VERSION:
        raise survey.broken("is a torch file of an unknown version")
    places, end = _places(span, machine.end, keys, _widths(body.persistents, survey), survey)

    def lookup(wanted: Reference) -> Data | None:
        return places.get(wanted.key)

    return Archive(root, survey, lookup), end


def _widths(persistents: list[Persistent], survey: Survey) -> dict[str, int]:
    """Bytes per element of every storage that the object refers to."""
    found: dict[str, int] = {}
    for persistent in persistents:
        wanted = reference(persistent.pid, survey)
        if wanted and found.setdefault(wanted.key, wanted.kind.width) != wanted.kind.width:
            raise survey.broken(f"describes storage {wanted.key[:40]} in two ways")
    return found


def _places(span: Span, begin: int, keys: Value, widths: dict[str, int], survey: Survey) -> tuple[dict[str, Span], int]:
    found: dict[str, Span] = {}
    for raw in keys if type(keys) is list else ():
        key = raw.decode("latin-1") if type(raw) is bytes else raw
        if type(key) is not str or key not in widths or key in found:
            raise survey.broken("lists a storage that it does not describe, or lists it twice")
        numel = int.from_bytes(span.read(begin, 8), "little", signed=True)
        size = numel * widths[key]
        if numel < 0 or begin + 8 + size > span.size:
            raise survey.broken(f"is cut short: storage {key[:40]} needs {size} bytes")
        found[key] = span.part(begin + 8, size)
        begin += 8 + size
    return found, begin
