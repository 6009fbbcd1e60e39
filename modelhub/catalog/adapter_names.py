"""What the name of an adapter's tensor says: its module, its part, and where the module belongs.

Libraries hold thousands of adapters with the same few thousand names, so answers are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from modelhub.catalog.keymaps import Spelling, adapter_table, flatten

#: So many answers are remembered; callers with unusually long or many names ask for new ones.
_REMEMBERED = 16_384
#: No known module has a longer name, and endings are looked for in so many last characters.
_LONG = 300
_TAIL = 120

#: Ending of a name, the part it stands for, and what to put behind the module's name.
_Ending = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module belongs: how its name is spelled, the components it can mean, and its name as key maps have it.

    `group` are the dialect and one of attention, conv, te1, te2, te3 and other; `input` is whether the model's input
    goes through it first; `first` and `others` are what to look up in a key map. `also` has a bit for each pattern of
    `also_rules` that the name fits.
    """

    group: tuple[str, str]
    components: tuple[str, ...]
    flat: str
    input: bool
    first: Spelling
    others: tuple[Spelling, ...]
    also: int


@dataclass(frozen=True, slots=True)
class AlsoRule:
    """A further model that adapters of a base fit: they touch one of the bit `touches`, and none of `without`."""

    base: str
    id: str
    say: str
    touches: int
    without: int


@dataclass(frozen=True)
class _Tables:
    endings: Mapping[str, list[_Ending]]
    named: re.Pattern[str]
    prefix: re.Pattern[str]
    prefixes: list[tuple[str, str, tuple[str, ...]]]
    dialects: Mapping[str, re.Pattern[str]]
    respelled: re.Pattern[str]
    spellings: list[tuple[re.Pattern[str], str]]
    places: Mapping[str, re.Pattern[str]]
    also: list[re.Pattern[str]]


@cache
def _tables() -> _Tables:
    table = adapter_table()
    rows = [(prefix, dialect, tuple(where)) for prefix, (dialect, *where) in table["prefixes"].items()]
    rows.sort(key=lambda row: -len(row[0]))
    return _Tables(
        endings=_endings(table["suffixes"]),
        named=re.compile(table["named"]["pattern"]),
        prefix=re.compile("|".join(map(_group, rows))),
        prefixes=rows,
        dialects=_compiled(table["dialects"]),
        respelled=re.compile("|".join(table["spellings"])),
        spellings=[(re.compile(pattern), word) for pattern, word in table["spellings"].items()],
        places=_compiled(table["places"]),
        also=[re.compile(row[side]) for row in table["also"] for side in ("touches", "without")],
    )


@cache
def also_rules() -> tuple[AlsoRule, ...]:
    """The rules of `[[also]]`, with the bits that places have for their patterns."""
    rows = enumerate(adapter_table()["also"])
    return tuple(AlsoRule(row["base"], row["id"], row["say"], 1 << 2 * index, 2 << 2 * index) for index, row in rows)


def _group(row: tuple[str, str, tuple[str, ...]]) -> str:
    return "(" + re.escape(row[0]).replace(r"\*", "[^.]+") + ")"


def _compiled(table: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    return {name: re.compile(pattern) for name, pattern in table.items()}


def _endings(table: Mapping[str, Mapping[str, Any]]) -> dict[str, list[_Ending]]:
    """Last two words of a name, or the last one, to the endings that it may have, the longest first."""
    found: dict[str, list[_Ending]] = {}
    for algorithm, endings in table.items():
        for ending, spec in endings.items():
            part, behind = (spec, "") if isinstance(spec, str) else spec
            found.setdefault(_last_words(ending[1:]), []).append((ending, f"{algorithm}.{part}", behind))
    return {words: sorted(rows, key=lambda row: -len(row[0])) for words, rows in found.items()}


def _last_words(name: str) -> str:
    return ".".join(name.rsplit(".", 2)[-2:])


def split_new(name: str) -> tuple[str, str] | None:
    """(module, part) of a tensor name, the part as `algorithm.part`; None for a name with no known ending."""
    tail = _tables().named.sub(r"\1", name[-_TAIL:])
    endings = _tables().endings
    words = _last_words(tail)
    for key in (words, words.rpartition(".")[2]):
        for ending, part, behind in endings.get(key, ()):
            if tail.endswith(ending):
                return name[:-_TAIL] + tail[: -len(ending)] + behind, part
    return None


def place_new(module: str) -> Place:
    """Where a module belongs, by its name."""
    if len(module) > _LONG:
        return Place(("bare", "other"), ("denoiser",), module, False, ("denoiser", module), (), 0)
    tables = _tables()
    fits = tables.prefix.match(module)
    # The empty prefix is among them, so one always fits.
    prefix, dialect, components = tables.prefixes[(fits.lastindex or 1) - 1] if fits else tables.prefixes[-1]
    rest = module[fits.end() :] if fits else module
    flat = adapter_table()["fronts"].get(prefix, "") + _spelled(flatten(rest))
    dialect = next((name for name, pattern in tables.dialects.items() if pattern.search(module)), dialect)
    first, *others = ((component, flat) for component in components)
    entrance = first[0] == "denoiser" and tables.places["input"].search(flat) is not None
    also = sum(1 << bit for bit, pattern in enumerate(tables.also) if pattern.search(flat))
    return Place((dialect, _label(components, flat)), components, flat, entrance, first, tuple(others), also)


def _spelled(flat: str) -> str:
    tables = _tables()
    if tables.respelled.search(flat):
        for pattern, word in tables.spellings:
            flat = pattern.sub(word, flat)
    return flat


def _label(components: tuple[str, ...], flat: str) -> str:
    places = _tables().places
    if components[0] != "denoiser":
        return "te1" if components[0] == "te" else components[0]
    if len(components) > 1 and places["text"].search(flat):
        return "te1"
    return next((label for label in ("attention", "conv") if places[label].search(flat)), "other")


split_name = lru_cache(maxsize=_REMEMBERED)(split_new)
place = lru_cache(maxsize=_REMEMBERED)(place_new)
