"""JSON inside pictures, from strangers: read within bounds, and asked for values without trust in their types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.formats.json_file import is_deeper

#: Characters and brackets in brackets of a JSON text that is read; the largest workflows have a tenth.
_LONGEST, _DEEPEST = 16_000_000, 200

Table = Mapping[str, Any]


def table(text: str | None) -> dict[str, Any] | None:
    """The table that a text is in JSON; None for anything else. NaN and Infinity, as ComfyUI writes them, are read."""
    found = value(text)
    return found if isinstance(found, dict) else None


def value(text: str | None) -> Any:
    """What a text is in JSON; None for anything else."""
    if not text or len(text) > _LONGEST or text.lstrip()[:1] not in ("{", "[") or is_deeper(text, _DEEPEST):
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def inner(found: Table, name: str) -> dict[str, Any]:
    """The table in a table; an empty one where there is none."""
    one = found.get(name)
    return one if isinstance(one, dict) else {}


def rows(found: Any) -> Iterator[dict[str, Any]]:
    """The tables in a list."""
    if isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict))


def text(found: Any) -> str | None:
    """A text; a number as a text; None for anything else, and for nothing."""
    if isinstance(found, bool) or found is None:
        return None
    if isinstance(found, int | float):
        return plain(found)
    return found if isinstance(found, str) and found.strip() else None


def plain(found: float) -> str:
    """A number as people write it: 7, not 7.0."""
    said = repr(found) if isinstance(found, float) else f"{found:d}" if abs(found) < 10**40 else "0"
    return said.removesuffix(".0")


def strings(found: Mapping[str, Any]) -> dict[str, str]:
    """Those values of a table that are there, as texts."""
    return {name: said for name, one in found.items() if (said := text(one)) is not None}
