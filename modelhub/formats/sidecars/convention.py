"""One convention: the ending of its file, and how its document turns into facts and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.formats.sidecars.documents import dump_table, parse_table
from modelhub.formats.sidecars.facts import Partial

Parse = Callable[[str, Path], Any]


@dataclass(frozen=True, slots=True)
class Convention:
    """A kind of sidecar.

    `parse(text, path)` gives the document, `facts(document, model)` what it says. `fields` are those that `update`
    can write: update(document, changed fields, model) changes the document in place and leaves alone whatever else
    stands in it; None where modelhub only reads. `weak` fields count only where no other file says anything.
    """

    id: str
    suffix: str
    facts: Callable[[Any, Path], Partial]
    fields: frozenset[str] = frozenset()
    update: Callable[[Any, Partial, Path], None] | None = None
    parse: Parse = parse_table
    dump: Callable[[Any, Path], str] = dump_table
    empty: Callable[[], Any] = dict
    weak: frozenset[str] = frozenset()


def as_text(text: str, _path: Path) -> str:
    """The parser of files that are no more than text."""
    return text


def rename(document: dict[str, Any], changed: Partial, keys: dict[str, str]) -> None:
    """Write the changed fields under the keys that a convention has for them, sequences as lists."""
    for name, key in keys.items():
        if name in changed:
            value = changed[name]
            document[key] = list(value) if isinstance(value, tuple) else value


def table_in(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The table below `key`, put there if something else stands in its place."""
    found = document.get(key)
    if not isinstance(found, dict):
        found = document[key] = {}
    return found
