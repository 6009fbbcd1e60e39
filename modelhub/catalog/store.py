"""The catalog on disk: one SQLite file through sqlite-utils, in WAL mode: scans, searches and the TUI can overlap.

A `Catalog` belongs to one thread; another thread opens its own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from modelhub.catalog.asset import HASH_NAMES, SELECT, Asset, FileStat, from_row, identity_columns
from modelhub.catalog.data import data_path
from modelhub.catalog.fields import escape_like
from modelhub.catalog.identity import Identity
from modelhub.catalog.search import compile_query
from modelhub.catalog.trouble import catalog_error
from modelhub.errors import NotFoundError, UsageError, file_error
from modelhub.formats.closing import Closing
from modelhub.formats.hashes import Hashes
from modelhub.settings import home
from modelhub.text import is_utf8

#: Sort names to SQL; names are compared without case, and ties go by name.
SORTS = {
    "name": "name COLLATE NOCASE", "size": "size", "added": "added", "rating": "rating", "kind": "kind",
    "architecture": "architecture", "arch": "architecture", "modified": "modified", "path": "path",
    "params": "parameters", "parameters": "parameters", "dtype": "dtype", "format": "format", "id": "id",
}  # fmt: skip
_BIGGEST_FIRST = {"size", "added", "rating", "modified", "params", "parameters"}


def _migrations() -> Migrations:
    found = Migrations("modelhub")
    for path in sorted(data_path("migrations").glob("*.sql")):
        sql = path.read_text(encoding="utf-8")

        def apply(db: Database, sql: str = sql) -> None:
            for statement in _statements(sql):
                db.conn.execute(statement)

        found(name=path.stem)(apply)
    return found


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the migration's transaction."""
    text = ""
    for line in sql.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


class Catalog(Closing):
    """All assets and what the user said about them."""

    def __init__(self, db: Database, folder: Path) -> None:
        self._db = db
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | None = None) -> Catalog:
        """Open or create catalog.db in `folder` (default: `settings.home()`).

        Raises FileError when the folder or the file cannot be used, CorruptFileError when the file is not a catalog.
        """
        folder = folder or home()
        path = folder / "catalog.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30)
        except OSError as error:
            raise file_error(error, folder) from error
        except sqlite3.Error as error:
            raise catalog_error(error, path) from error
        connection.row_factory = sqlite3.Row
        try:
            return cls(_prepared(connection), folder)
        except sqlite3.Error as error:
            connection.close()
            raise catalog_error(error, path) from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Everything inside is written together or not at all; another writer is waited for, not run into.

        Inside another `atomic` it is part of that one. Raises FileError for what SQLite cannot do.
        """
        if self._db.conn.in_transaction:
            yield
            return
        try:
            self._db.conn.execute("BEGIN IMMEDIATE")
            yield
            self._db.conn.commit()
        except sqlite3.Error as error:
            raise catalog_error(error, self.folder / "catalog.db") from error
        finally:
            self._db.conn.rollback()  # does nothing after a commit; a commit that failed must not stay open

    # -- reading ---------------------------------------------------------------------------------------------------

    def ids(self, query: str = "", sort: str = "name", *, reverse: bool = False) -> list[int]:
        """The ids of all assets that `query` finds, in order. Raises BadQueryError, UsageError for an unknown sort.

        Sizes, dates and ratings come biggest first, everything else from A to Z; `reverse` turns that round.
        """
        if sort not in SORTS:
            raise UsageError(f"Assets cannot be sorted by '{sort}'.", f"Choose one of: {', '.join(SORTS)}.")
        where = compile_query(query)
        down = (sort in _BIGGEST_FIRST) != reverse
        order = f"{SORTS[sort]} {'DESC' if down else 'ASC'}, name COLLATE NOCASE, path"
        rows = self._db.conn.execute(f"SELECT id FROM assets WHERE {where.sql} ORDER BY {order}", where.parameters)  # noqa: S608
        return [row[0] for row in rows]

    def assets(self, ids: Sequence[int]) -> list[Asset]:
        """The assets of `ids`, in that order; ids that are gone are left out."""
        found: dict[int, Asset] = {}
        for start in range(0, len(ids), 500):
            page = list(ids[start : start + 500])
            marks = ",".join("?" * len(page))
            for row in self._db.conn.execute(f"{SELECT} WHERE id IN ({marks})", page):
                found[row["id"]] = from_row(row)
        return [found[number] for number in ids if number in found]

    def find(
        self, query: str = "", sort: str = "name", *, reverse: bool = False, limit: int | None = None
    ) -> list[Asset]:
        """The assets that `query` finds, in order, at most `limit`."""
        return self.assets(self.ids(query, sort, reverse=reverse)[:limit])

    def get(self, number: int) -> Asset:
        """The asset of an id. Raises NotFoundError."""
        found = self.assets([number])
        if not found:
            raise NotFoundError(f"There is no asset #{number}.", "List them with `modelhub ls`.")
        return found[0]

    def by_path(self, path: Path) -> Asset | None:
        """The asset at exactly this path, or None."""
        try:
            row = self._db.conn.execute(f"{SELECT} WHERE path = ?", [str(path)]).fetchone()
        except UnicodeEncodeError:  # no row has a path that is not text
            return None
        return from_row(row) if row else None

    def named(self, name: str) -> list[Asset]:
        """The assets whose file name or stem is `name`; exact case first, any case if there is none."""
        rows = self._db.conn.execute(f"{SELECT} WHERE name LIKE ? ESCAPE '\\' ORDER BY path", [f"{escape_like(name)}%"])
        near = [asset for asset in map(from_row, rows) if name.lower() in (asset.name.lower(), asset.path.stem.lower())]
        return [asset for asset in near if name in (asset.name, asset.path.stem)] or near

    def hashed(self, digits: str) -> list[Asset]:
        """The assets of which any hash begins with these lower-case digits."""
        where = " OR ".join(f"{name} LIKE ?" for name in HASH_NAMES)
        rows = self._db.conn.execute(f"{SELECT} WHERE {where} ORDER BY path", [f"{digits}%"] * len(HASH_NAMES))
        return [from_row(row) for row in rows]

    def unhashed(self, *, full: bool = False) -> list[Asset]:
        """The readable assets that lack SHA256 or BLAKE3 (`full`: or any hash), the smallest first."""
        lacks = "sha256 IS NULL OR blake3 IS NULL" + (" OR crc32 IS NULL" if full else "")
        rows = self._db.conn.execute(f"{SELECT} WHERE missing = 0 AND problem IS NULL AND ({lacks}) ORDER BY size")
        return [from_row(row) for row in rows]

    def counts(self, column: str, query: str = "") -> dict[str | None, int]:
        """How many assets each value of `column` (kind, architecture, format, dtype, variant) has, within `query`."""
        if column not in ("kind", "architecture", "format", "dtype", "variant"):
            raise UsageError(f"Assets are not counted by '{column}'.")
        where = compile_query(query)
        sql = f"SELECT {column}, count(*) FROM assets WHERE {where.sql} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
        return {row[0]: row[1] for row in self._db.conn.execute(sql, where.parameters)}

    def count(self, query: str = "") -> int:
        """How many assets `query` finds."""
        where = compile_query(query)
        sql = f"SELECT count(*) FROM assets WHERE {where.sql}"  # noqa: S608
        return int(self._db.conn.execute(sql, where.parameters).fetchone()[0])

    def tags(self) -> dict[str, int]:
        """Every tag and how many assets have it, the most used first."""
        rows = self._db.conn.execute("SELECT tag, count(*) FROM tags GROUP BY tag ORDER BY 2 DESC, 1")
        return {row[0]: row[1] for row in rows}

    def roots(self) -> list[Path]:
        """The folders that are scanned."""
        return [Path(row[0]) for row in self._db.conn.execute("SELECT path FROM roots ORDER BY path")]

    # -- what the user says ----------------------------------------------------------------------------------------

    def tag(self, ids: Iterable[int], add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove tags. Raises UsageError for a tag that is empty, long, or not printable on one line."""
        ids, add, remove = list(ids), [_tag(word) for word in add], [_tag(word) for word in remove]
        with self.atomic():
            self._db.conn.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(i, t) for i in ids for t in add])
            self._db.conn.executemany(
                "DELETE FROM tags WHERE asset_id = ? AND tag = ?", [(i, t) for i in ids for t in remove]
            )

    def rate(self, number: int, rating: int) -> None:
        """Give 1 to 5 stars, or 0 for none. Raises UsageError."""
        if not 0 <= rating <= 5:
            raise UsageError(f"A rating is a number from 0 to 5, not {rating}.")
        self._update(number, {"rating": rating})

    def note(self, number: int, text: str) -> None:
        """Replace the notes of an asset. Raises UsageError for a text that is not valid Unicode."""
        if not is_utf8(text):
            raise UsageError("The note is not valid Unicode.", "Write it in UTF-8.")
        self._update(number, {"notes": text})

    # -- what a scan says ------------------------------------------------------------------------------------------

    def add_root(self, path: Path) -> None:
        """Remember a folder to scan."""
        with self.atomic():
            self._db.conn.execute("INSERT OR IGNORE INTO roots VALUES (?, ?)", [str(path), time.time()])

    def stats(self) -> dict[str, tuple[int, FileStat, bool, str]]:
        """Path to (id, stat, missing, rules) of every asset: what a scan compares with the disk."""
        rows = self._db.conn.execute(
            "SELECT path, id, device, inode, size, modified, missing, identified_by FROM assets"
        )
        return {row[0]: (row[1], FileStat(row[2], row[3], row[4], row[5]), bool(row[6]), row[7]) for row in rows}

    def record(self, path: Path, stat: FileStat, identity: Identity, rules: str, **columns: Any) -> int:
        """Insert or update the row of `path`, returning its id. What the user said stays; old hashes go.

        `columns` are further columns: title, recipe, problem, problem_code.
        """
        row = {
            "problem": None,
            "problem_code": None,
            "title": None,
            "recipe": None,
            **identity_columns(identity),
            **columns,
        }
        row |= {"name": path.name, "identified_by": rules, "missing": 0}
        select = "SELECT id, device, inode, size, modified FROM assets WHERE path = ?"
        with self.atomic():
            known = self._db.conn.execute(select, [str(path)]).fetchone()
            if known is None:
                return self._insert({"path": str(path), "added": time.time(), **row, **_stat_columns(stat)})
            if FileStat(*tuple(known)[1:]) != stat:
                row |= {**dict.fromkeys(Hashes().as_dict()), **_stat_columns(stat)}
            self._update(known["id"], row)
            return int(known["id"])

    def move(self, paths: Mapping[int, Path]) -> None:
        """Files, by id, have other paths now; what the user said stays with them. They may have swapped their names."""
        with self.atomic():
            for number in paths:
                self._update(number, {"path": f"\0{number}"})  # nobody's path, for a moment
            for number, path in paths.items():
                self._update(number, {"path": str(path), "name": path.name, "missing": 0})

    def set_missing(self, ids: Iterable[int], missing: bool = True) -> None:
        """The files are gone (or back); their rows stay."""
        with self.atomic():
            self._db.conn.executemany("UPDATE assets SET missing = ? WHERE id = ?", [(int(missing), i) for i in ids])

    def set_hashes(self, number: int, hashes: Hashes) -> None:
        """Store digests; None leaves what is there."""
        self._update(number, {name: value for name, value in hashes.as_dict().items() if value is not None})

    def _insert(self, row: dict[str, Any]) -> int:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        cursor = self._db.conn.execute(f"INSERT INTO assets ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608
        return int(cursor.lastrowid or 0)

    def _update(self, number: int, row: dict[str, Any]) -> None:
        if not row:
            return
        names = ", ".join(f"{name} = ?" for name in row)
        with self.atomic():
            done = self._db.conn.execute(f"UPDATE assets SET {names} WHERE id = ?", [*row.values(), number])  # noqa: S608
        if done.rowcount == 0:
            raise NotFoundError(f"There is no asset #{number}.", "List them with `modelhub ls`.")


def _prepared(connection: sqlite3.Connection) -> Database:
    """A database in WAL mode with all migrations applied; many processes may do this at once."""
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    db = Database(connection, execute_plugins=False)  # other people's plugins have no business here
    db.enable_wal()
    migrations = _migrations()
    if migrations.pending(db):
        connection.execute("BEGIN IMMEDIATE")  # another process may be doing the same
        try:
            migrations.apply(db)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    return db


def _stat_columns(stat: FileStat) -> dict[str, int]:
    return {"device": stat.device, "inode": stat.inode, "size": stat.size, "modified": stat.modified}


def _tag(word: str) -> str:
    word = word.strip()
    if not word or len(word) > 100 or not word.isprintable():
        raise UsageError(f"{word[:100]!r} cannot be a tag.", "A tag is 1 to 100 printable characters.")
    return word
