"""Counting: how many assets there are of each kind, in each folder, and of each value that a search may ask for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelhub.catalog.columns import LINEAGE, declared

if TYPE_CHECKING:
    from modelhub.catalog.reading import CatalogReader

_HERE = "trashed IS NULL"
#: Values of one field that are counted at most.
_MOST = 2000
_STATE = "CASE WHEN missing THEN 'missing' WHEN problem IS NOT NULL THEN 'problem' END"
_CENSUS = f"SELECT kind, architecture, format, dtype, rating, {_STATE}, count(*) FROM assets WHERE {_HERE}"  # noqa: S608
_CENSUS += " GROUP BY 1, 2, 3, 4, 5, 6"


@dataclass(frozen=True)
class Census:
    """How many assets there are of each kind, and so on; the most frequent value is the first.

    `states`: those that need care, `missing` and `problem`. `ratings`: stars to assets, the most stars first.
    """

    total: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    architectures: dict[str, dict[str | None, int]] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    dtypes: dict[str, int] = field(default_factory=dict)
    ratings: dict[int, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)


def census(catalog: CatalogReader) -> Census:
    """Count everything in one pass."""
    counts: tuple[Counter[str], ...] = tuple(Counter() for _ in range(4))
    ratings: Counter[int] = Counter()
    parts: dict[str, Counter[str | None]] = {}
    for kind, architecture, container, dtype, rating, state, number in catalog.rows(_CENSUS):
        for counter, value in zip(counts, (kind, container, dtype, state), strict=True):
            if value:
                counter[value] += number
        ratings[rating] += number
        parts.setdefault(kind, Counter())[architecture] += number
    kinds, formats, dtypes, states = map(_ordered, counts)
    architectures = {kind: _ordered(parts[kind]) for kind in kinds}
    stars = dict(sorted(ratings.items(), reverse=True))
    return Census(sum(kinds.values()), kinds, architectures, formats, dtypes, stars, states)


def _ordered(counter: Counter) -> dict:  # type: ignore[type-arg]
    return dict(sorted(counter.items(), key=lambda one: (-one[1], one[0] or "")))


def folders(catalog: CatalogReader) -> dict[str, int]:
    """Every folder that holds assets, with a separator at its end, and how many lie in it itself."""
    own = "substr(path, 1, length(path) - length(name))"
    return dict(map(tuple, catalog.rows(f"SELECT {own}, count(*) FROM assets WHERE {_HERE} GROUP BY 1")))  # noqa: S608


def untagged(catalog: CatalogReader) -> int:
    """How many assets have no tag."""
    sql = f"SELECT count(*) FROM assets WHERE {_HERE} AND id NOT IN (SELECT asset_id FROM tags)"  # noqa: S608
    return int(catalog.rows(sql).fetchone()[0])


def total_size(catalog: CatalogReader, ids: Sequence[int]) -> int:
    """The bytes of these assets together."""
    sql = "SELECT coalesce(sum(size), 0) FROM assets WHERE id IN (SELECT value FROM json_each(?))"
    return int(catalog.rows(sql, [json.dumps(list(ids))]).fetchone()[0])


_SAME = {"type": "kind", "architecture": "arch"}
#: Fields whose values are counted as they are; one that lacks it is "none".
_PLAIN = {
    "kind": "kind", "arch": "architecture", "variant": "variant", "format": "format", "layout": "layout",
    "prediction": "prediction", "confidence": "nullif(confidence, 'none')", "dtype": "dtype", "lineage": LINEAGE,
    "base": declared("base_model"), "creator": declared("creator"),
}  # fmt: skip
#: Fields of which an asset may have several.
_LISTS = {
    "algorithm": ("json_each(adapter, '$.algorithm') AS one", "one.value"),
    "trigger": ("json_each(trigger_words) AS one", "one.value"),
    "provider": ("lookups ON lookups.sha256 = assets.sha256 AND lookups.found", "provider"),
    "quantisation": (
        "json_each(facts, '$.quantisation') AS one ON one.value IS NOT NULL",
        "CASE typeof(one.key) WHEN 'text' THEN one.key ELSE one.value END",
    ),
    "from": ("json_each(parents) AS one", "json_extract(one.value, '$[2]')"),
}
_YES_OR_NO = ("missing", "problem", "override", "verified", "sidecar", "linked", "hashed", "merged")
#: What one may ask of numbers and dates.
_EXAMPLES = {
    "size": (">10GB", ">5GB", ">2GB", "<500MB", "<100MB", "<1MB"),
    "params": (">10B", ">5B", ">1B", "<500M", "<1M"),
    "rating": (">=4", "5", "4", "3", "2", "1", "0"),
    "added": ("1d", "7d", "1m", "1y", ">1y"),
    "modified": ("1d", "7d", "1m", "1y", ">1y"),
    "lookup": ("known", "unknown", "none", "never"),
    **dict.fromkeys(_YES_OR_NO, ("yes", "no")),
}


def values(catalog: CatalogReader, name: str) -> dict[str, int]:
    """What may stand behind a field of the query language, and how many assets each finds; empty for free text."""
    name = _SAME.get(name, name)
    if name == "tag":
        return {**catalog.tags(), **_none(untagged(catalog))}
    if name in _EXAMPLES:
        return _examples(catalog, name, _EXAMPLES[name])
    if name in _LISTS:
        source, value = _LISTS[name]
        return _grouped(catalog, f"SELECT {value}, count(DISTINCT assets.id) FROM assets JOIN {source}")  # noqa: S608
    return _grouped(catalog, f"SELECT {_PLAIN[name]}, count(*) FROM assets") if name in _PLAIN else {}  # noqa: S608


def _examples(catalog: CatalogReader, name: str, asked: Sequence[str]) -> dict[str, int]:
    """All in one pass over the table."""
    from modelhub.catalog.fields import condition

    found = [condition(name, value) for value in asked]
    columns = ", ".join(f"count(CASE WHEN {one.sql} THEN 1 END)" for one in found)
    parameters = [value for one in found for value in one.parameters]
    row = catalog.rows(f"SELECT {columns} FROM assets WHERE {_HERE}", parameters).fetchone()  # noqa: S608
    return dict(zip(asked, row, strict=True))


def _grouped(catalog: CatalogReader, select: str) -> dict[str, int]:
    rows = catalog.rows(f"{select} WHERE {_HERE} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_MOST}").fetchall()
    found = {str(value): number for value, number in rows if value not in (None, "")}
    return {**found, **_none(sum(number for value, number in rows if value is None))}


def _none(number: int) -> dict[str, int]:
    return {"none": number} if number else {}
