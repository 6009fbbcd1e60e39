"""What the entries of the journal share: paths as plain values, names for people, rows that stand in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import FileExistsAlreadyError, file_error
from modelhub.organize.carrying import Pair
from modelhub.text import one_line, plural


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the operating system refuses inside, as a `FileError` that names the file, or else `path`."""
    try:
        yield
    except OSError as error:
        raise file_error(error, error.filename or path) from error


def plain(pairs: Iterable[Pair]) -> list[list[str]]:
    """Pairs of paths as the journal keeps them."""
    return [[str(old), str(new)] for old, new in pairs]


def pairs_of(details: dict[str, Any]) -> list[Pair]:
    """The pairs of an entry."""
    return [(Path(old), Path(new)) for old, new in details.get("pairs", ())]


def names(found: Sequence[str]) -> str:
    """One name, or how many there are."""
    return one_line(found[0]) if len(found) == 1 else plural(len(found), "asset")


def begin(catalog: Catalog, action: str, summary: str, details: dict[str, Any]) -> int:
    """Write an entry before files move, and have it on the disk: SQLite syncs its log when it is folded in."""
    entry = journal.write(catalog, action, summary, details)
    catalog.rows("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return entry


def give_up(catalog: Catalog, entry: int, pairs: Sequence[Pair]) -> None:
    """After what failed was brought back: the entry has nothing to undo. If some is not back, the entry stays."""
    if not any(os.path.lexists(new) for _, new in pairs):
        journal.forget(catalog, entry)


def row_in_the_way(catalog: Catalog, path: Path, number: int) -> Asset | None:
    """The row of a file that is gone, at the path where asset `number` is to be; the user said nothing of it.

    Raises FileExistsAlreadyError for one with the user's words.
    """
    other = catalog.by_path(path)
    if other is None or other.id == number or str(path) in other.links:
        return None
    if not (other.tags or other.notes or other.rating or other.said):
        return other
    raise FileExistsAlreadyError(
        f"{one_line(str(path))} is the path of #{other.id}, which is missing and has tags, notes or a rating.",
        f"Forget that one first: `modelhub forget '#{other.id}'`.",
    )


def clear_row(catalog: Catalog, path: Path, number: int) -> None:
    """Make room in the catalog for asset `number` at `path`. Raises as `row_in_the_way`."""
    other = row_in_the_way(catalog, path, number)
    if other is not None:
        catalog.remove([other.id])
