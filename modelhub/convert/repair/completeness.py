"""Is a network whole? The tensors of a component against those of released models of its architecture.

Smaller networks of the same build (distilled, trained small, of fewer blocks) are no damage: they are named for what
they are, and not compared further.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from modelhub.catalog.belonging import Owned
from modelhub.catalog.match import Shape
from modelhub.catalog.networks import Row, listed, network
from modelhub.formats.header import Header
from modelhub.text import plural

#: Shares of a network: names that must be there to compare it, shapes that may differ, tensors that damage takes away.
_KNOWN, _OTHER, _LOST = 0.5, 0.05, 0.2
#: The share that must be there when nothing else says which network it is, and where checkpoints have text encoders.
_NEARLY, _INNER = 0.95, ("", "transformer.", "model.")
#: Rows of equal blocks; a network that has only the first of them works, and is a smaller one.
_ROW = re.compile(r"((?:.*\.)?(?:double_blocks|single_blocks|joint_blocks|resblocks|layers|encoder\.block)\.)(\d+)\.")


@dataclass
class Completeness:
    """What a component lacks: full names of `missing` tensors and shapes of the `misshapen`, with what they should be.

    `note` says why it was not compared, or what is unusual; empty for a whole network.
    """

    owned: Owned
    missing: dict[str, Row] = field(default_factory=dict)
    misshapen: dict[str, tuple[Shape, Row]] = field(default_factory=dict)
    compared: bool = True
    note: str = ""


def completeness(owned: Owned, header: Header) -> Completeness:
    """Compare one component with what it should be."""
    found = Completeness(owned)
    prefix, expected = _expected(owned, header)
    shapes = _below(prefix, owned, header)
    shared = expected.keys() & shapes.keys()
    wrong = {name: (shapes[name], expected[name]) for name in shared if not expected[name].fits(shapes[name])}
    lacking = {name: row for name, row in expected.items() if name not in shapes and _needed(name, row, shared)}
    found.note = _incomparable(expected, len(shared), len(wrong))
    if found.note:
        found.compared = False
        return found
    rows = dict(_shorter(lacking, shapes))
    lacking = {name: row for name, row in lacking.items() if not _beyond(name, rows)}
    if len(lacking) > _LOST * len(expected):
        found.compared = False
        found.note = f"not compared: a smaller network, {len(shapes):,} of {plural(len(expected), 'tensor')}"
        return found
    found.missing = {prefix + name: row for name, row in sorted(lacking.items())}
    found.misshapen = {prefix + name: pair for name, pair in sorted(wrong.items())}
    found.note = ", ".join(f"has the first {last + 1} of {row.rstrip('.')}" for row, last in rows.items())
    return found


def _below(prefix: str, owned: Owned, header: Header) -> dict[str, Shape]:
    return {name[len(prefix) :]: header.tensors[name].shape for name in owned.names if name.startswith(prefix)}


def _expected(owned: Owned, header: Header) -> tuple[str, Mapping[str, Row]]:
    """The tensors that a network should have, by its architecture, and the prefix below which it should have them.

    The tensor that tells an architecture may be the one that is missing. Then it is a network of which nearly all is
    there, and nothing has another shape.
    """
    known, prefix = owned.component.architecture or "", owned.component.prefix
    own = network(known)
    if (known and not own) or len(own.keys() & _below(prefix, owned, header).keys()) >= max(1, _KNOWN * len(own)):
        return prefix, own
    there = {prefix + inner: _below(prefix + inner, owned, header) for inner in _INNER}
    shares = {(at, name): _likeness(network(name), shapes) for at, shapes in there.items() for name in listed()}
    at, name = max(shares, key=shares.__getitem__)
    return (at, network(name)) if shares[at, name] >= _NEARLY else (prefix, own)


def _likeness(rows: Mapping[str, Row], shapes: Mapping[str, Shape]) -> float:
    """The share of a network that is there; 0 when something of it has another shape."""
    shared = rows.keys() & shapes.keys()
    return len(shared) / len(rows) if all(rows[name].fits(shapes[name]) for name in shared) else 0


def _needed(name: str, row: Row, there: Collection[str]) -> bool:
    """Whether a network needs a tensor: an optional one belongs to what it has a part of, as `guidance_in.` of Flux."""
    part, dot, _ = name.partition(".")
    return not row.optional or (bool(dot) and any(other.startswith(part + dot) for other in there))


def _incomparable(expected: Mapping[str, Row], shared: int, wrong: int) -> str:
    if not expected:
        return "not compared: there is no list of its tensors"
    if shared < _KNOWN * len(expected):
        return "not compared: other names, or a smaller network"
    return "not compared: another width" if wrong > _OTHER * shared else ""


def _shorter(lacking: Mapping[str, Row], shapes: Mapping[str, Shape]) -> Iterator[tuple[str, int]]:
    """Rows of blocks that end early, each with the number of its last block."""
    there: dict[str, set[int]] = {}
    for name in shapes:
        if fits := _ROW.match(name):
            there.setdefault(fits[1], set()).add(int(fits[2]))
    ends = {fits[1] for name in lacking if (fits := _ROW.match(name))}
    for row in sorted(ends & there.keys()):
        last = max(there[row])
        if any((fits := _ROW.match(name)) and fits[1] == row and int(fits[2]) > last for name in lacking):
            yield row, last


def _beyond(name: str, rows: Mapping[str, int]) -> bool:
    """Whether a tensor belongs to a block behind the last of its row."""
    fits = _ROW.match(name)
    return fits is not None and fits[1] in rows and int(fits[2]) > rows[fits[1]]
