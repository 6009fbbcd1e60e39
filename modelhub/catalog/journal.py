"""The journal: what was done to files and to the user's words, with all that undoing it needs; it outlives the session.

An entry is written before the first file moves and completed afterwards, so that a kill in between can be undone too.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from modelhub.catalog.database import CatalogFile
from modelhub.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Entry:
    """One action: `action` is its short name ("rm", "mv", "tag"...), `summary` a sentence, `details` plain values.

    `undone` is when it was undone, or None.
    """

    id: int
    at: float
    action: str
    summary: str
    details: dict[str, Any]
    undone: float | None


def write(catalog: CatalogFile, action: str, summary: str, details: dict[str, Any]) -> int:
    """Add an entry; returns its id."""
    with catalog.atomic():
        cursor = catalog.rows(
            "INSERT INTO journal (at, action, summary, details) VALUES (?, ?, ?, ?)",
            [time.time(), action, summary, json.dumps(details)],
        )
        return int(cursor.lastrowid or 0)


def update(catalog: CatalogFile, number: int, details: dict[str, Any]) -> None:
    """Replace the details of an entry."""
    with catalog.atomic():
        catalog.rows("UPDATE journal SET details = ? WHERE id = ?", [json.dumps(details), number])


def mark_undone(catalog: CatalogFile, number: int) -> None:
    """The action of an entry was undone."""
    with catalog.atomic():
        catalog.rows("UPDATE journal SET undone = ? WHERE id = ?", [time.time(), number])


def forget(catalog: CatalogFile, number: int) -> None:
    """Remove an entry: its action came to nothing, or can no longer be undone."""
    with catalog.atomic():
        catalog.rows("DELETE FROM journal WHERE id = ?", [number])


def entries(catalog: CatalogFile, limit: int = 20) -> list[Entry]:
    """The latest entries, the newest first."""
    return [_entry(row) for row in catalog.rows("SELECT * FROM journal ORDER BY id DESC LIMIT ?", [limit])]


def last(catalog: CatalogFile) -> Entry | None:
    """The newest entry that was not undone."""
    row = catalog.rows("SELECT * FROM journal WHERE undone IS NULL ORDER BY id DESC LIMIT 1").fetchone()
    return _entry(row) if row else None


def get(catalog: CatalogFile, number: int) -> Entry:
    """The entry of an id. Raises NotFoundError."""
    row = catalog.rows("SELECT * FROM journal WHERE id = ?", [number]).fetchone()
    if row is None:
        raise NotFoundError(f"The journal has no entry {number}.", "List them with `modelhub undo --list`.")
    return _entry(row)


def _entry(row: sqlite3.Row) -> Entry:
    plain = {name: row[name] for name in ("id", "at", "action", "summary", "undone")}
    return Entry(**plain, details=json.loads(row["details"]))
