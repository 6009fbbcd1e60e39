"""Packed weights: fp8 with scales, 4-bit formats, GGUF blocks. What packs them, and how many weights they stand for.

Data: `[[packing]]` in `catalog/marks.toml`.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.catalog.match import Names, Shape
from modelhub.catalog.training import read_json
from modelhub.formats.header import BLOCKS, Columns
from modelhub.text import one_line, shorten

#: Where Comfy says in metadata which layers are packed, and how: {"layers": {"blocks.0.mlp": {"format": "nvfp4"}}}.
_DECLARED = "_quantization_metadata"
#: Dtypes that packing seldom comes with: a file with only these is searched for few marks.
_PLAIN = frozenset({"F16", "BF16", "F32", "F64", "I64", "I32", "BOOL"})
_MOST_KINDS = 8


@dataclass(frozen=True)
class Packing:
    """How weights are packed: `facts` counts tensors (or elements) by format.

    `parameters` are those that packed tensors stand for, `shapes` those that packed tensors would have unpacked.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(data_path("marks.toml").read_text(encoding="utf-8"))["packing"])


def packing(names: Names, columns: Columns, metadata: Mapping[str, str]) -> Packing:
    """How the weights of a file are packed; empty for plain floats."""
    found = Packing()
    plain = set(columns.dtypes) <= _PLAIN
    rows = [row for row in _rows() if row.get("plain") or not plain]
    if plain and not any(names.any_ends(ending) for row in rows for ending in row["ends"]):
        return found
    dtypes = dict(zip(columns.names, columns.dtypes, strict=True))
    for row in rows:
        _look(row, names, dtypes, found)
    found.facts.update(_blocks(names, dtypes) or (() if found.facts else _fp8(names, dtypes)))
    found.facts.update(_declared(metadata))
    return found


def _look(row: Mapping[str, Any], names: Names, dtypes: Mapping[str, str], found: Packing) -> None:
    """Enter what one row of the data knows of a file into `found`."""
    marks = [(name, ending) for ending in row["ends"] for name in _ending(names, ending)]
    packed = {}
    if "weight" in row:
        beside = {name: name.removesuffix(ending) + row["weight"] for name, ending in marks}
        packed = {name: weight for name, weight in beside.items() if dtypes.get(weight) in row["dtypes"]}
    if not (packed if "weight" in row else marks):
        return
    found.facts.setdefault(row["id"], len(packed or marks))
    extras = (name for ending in row.get("beside", ()) for name in _ending(names, ending))
    found.parameters.update(dict.fromkeys((*packed, *extras), 0))
    for weight in packed.values():
        held, shape = row["dtypes"][dtypes[weight]], names.shapes[weight]
        found.parameters[weight] = prod(shape) * held
        if row.get("columns") and shape:
            found.shapes[weight] = (*shape[:-1], shape[-1] * held)


def _ending(names: Names, ending: str) -> list[str]:
    return [name for name in names.ordered if name.endswith(ending)] if names.any_ends(ending) else []


def _elements(names: Names, dtypes: Mapping[str, str], wanted: Iterable[str]) -> Counter[str]:
    kinds = frozenset(wanted)
    counts: Counter[str] = Counter()
    for name, dtype in dtypes.items():
        if dtype in kinds:
            counts[dtype] += prod(names.shapes[name])
    return counts


def _blocks(names: Names, dtypes: Mapping[str, str]) -> dict[str, str]:
    """The block type of GGUF that most elements have."""
    counts = _elements(names, dtypes, BLOCKS)
    return {"gguf": counts.most_common(1)[0][0]} if counts else {}


def _fp8(names: Names, dtypes: Mapping[str, str]) -> dict[str, int]:
    """Plain fp8 without scales: its elements, if most of the file is that."""
    counts = _elements(names, dtypes, set(dtypes.values()))
    eight = sum(count for dtype, count in counts.items() if dtype.startswith("F8"))
    return {"fp8": eight} if 2 * eight > sum(counts.values()) else {}


def _declared(metadata: Mapping[str, str]) -> dict[str, int]:
    """Layers by format, as Comfy declares them."""
    table = read_json(metadata.get(_DECLARED, "") or "null")
    layers = table.get("layers") if isinstance(table, dict) else None
    rows = layers.values() if isinstance(layers, dict) else ()
    formats = (row.get("format") for row in rows if isinstance(row, dict))
    counts = Counter(shorten(one_line(kind[:200]), 40) for kind in formats if isinstance(kind, str) and kind)
    return dict(counts.most_common(_MOST_KINDS))
