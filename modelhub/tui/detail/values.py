"""Values of facts in words: no brackets, no quotes, and nothing of what says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.text import one_line, plural, shorten

_LONGEST = 400
#: The parts of `adapter_facts` that say something to a user, by what they are called here.
_ADAPTER = {
    "dialect": "naming", "dora_axis": "dora along", "conv": "convolutions", "bases": "fits", "also": "fits as well",
    "excluded": "ruled out", "incomplete": "incomplete", "incomplete_modules": "for example",
    "embeddings": "embeddings", "input_channels": "takes",
}  # fmt: skip


def pairs(table: Mapping[str, Any]) -> dict[str, str]:
    """Names and values that say something, each on one line."""
    found = {
        one_line(str(name)).replace("_", " "): shorten(one_line(words(value)), _LONGEST)
        for name, value in table.items()
    }
    return {name: text for name, text in found.items() if text}


def words(value: Any) -> str:
    """A value in few words: `yes`, `320 × 4`, `solo 20, hat 3`; "" for what is empty."""
    if value is None or value is True or value is False:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words(inner)}".strip() for name, inner in value.items())
    if isinstance(value, str) or not isinstance(value, Iterable):
        return f"{value:g}" if isinstance(value, float) else str(value)
    parts = list(value)
    return (" × " if all(type(part) is int for part in parts) else ", ").join(filter(None, map(words, parts)))


def adapter(facts: Mapping[str, Any]) -> dict[str, str]:
    """What `adapter_facts` found: algorithms and ranks with the modules that have them, then where the modules sit."""
    first = {
        "algorithm": _shares(facts.get("algorithms") or {}),
        "rank": _shares(facts.get("rank") or {}),
        "modules": _modules(facts),
        "weight": "DoRA" if facts.get("dora") else "",
    }
    rest = {shown: facts[name] for name, shown in _ADAPTER.items() if facts.get(name)}
    return {name: text for name, text in {**first, **pairs(rest)}.items() if text}


def _modules(facts: Mapping[str, Any]) -> str:
    total, parts = facts.get("modules"), facts.get("parts") or {}
    where = ", ".join(f"{count:,} {one_line(name)}" for name, count in parts.items())
    return f"{total:,}{': ' if where else ''}{where}" if total else ""


def _shares(counts: Mapping[str, int]) -> str:
    """`16`, or `16 in 192 modules, 4 in 1 module`."""
    if len(counts) == 1:
        return one_line(next(iter(counts)))
    return ", ".join(f"{one_line(name)} in {plural(count, 'module')}" for name, count in counts.items())
