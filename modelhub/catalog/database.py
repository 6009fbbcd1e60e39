"""The catalog's file: opened in WAL mode, brought up to date by migrations, changed in transactions.

sqlite-utils runs the migrations and is imported only when one is due: it costs more than everything else in `ls`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from modelhub.catalog.data import data_path
from modelhub.catalog.trouble import catalog_error
from modelhub.errors import FileError, file_error
from modelhub.formats.closing import Closing
from modelhub.settings import home

#: The folder beside the catalog that `rm` moves files to.
HOME_TRASH = "trash"
#: Seconds to wait for another program that writes.
_PATIENCE = 30


class CatalogFile(Closing):
    """catalog.db: rows out of SQL, and transactions that are whole or nothing. Belongs to one thread."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Open or create catalog.db in `folder` (default: `settings.home()`).

        Raises FileError when the folder or the file cannot be used, or is of a newer modelhub, CorruptFileError when
        the file is not a catalog.
        """
        folder = folder or home()
        path = folder / "catalog.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_PATIENCE)
        except OSError as error:
            raise file_error(error, folder) from error
        except sqlite3.Error as error:
            raise catalog_error(error, path) from error
        connection.row_factory = sqlite3.Row
        try:
            _prepare(connection, path)
        except sqlite3.Error as error:
            connection.close()
            raise catalog_error(error, path) from error
        except FileError:
            connection.close()
            raise
        return cls(connection, folder)

    @property
    def trash(self) -> Path:
        """The trash beside the catalog; it need not exist."""
        return self.folder.absolute() / HOME_TRASH

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; for reading, and for changes inside `atomic`."""
        return self._connection.execute(sql, values)

    def each(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run one statement for every row of values; inside `atomic`."""
        self._connection.executemany(sql, values)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Everything inside is written together or not at all; another writer is waited for, not run into.

        Inside another `atomic` it is part of that one. Raises FileError for what SQLite cannot do.
        """
        if self._connection.in_transaction:
            yield
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.commit()
        except sqlite3.Error as error:
            raise catalog_error(error, self.folder / "catalog.db") from error
        finally:
            self._connection.rollback()  # does nothing after a commit; a commit that failed must not stay open


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """WAL mode, and all migrations applied; many processes may do this at once.

    Raises FileError for a catalog of a newer version.
    """
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.create_function("declared_lineage", 1, _declared_lineage, deterministic=True)
    scripts = sorted(data_path("migrations").glob("*.sql"))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(scripts):
        raise FileError(
            f"{path} was written by a newer modelhub: it has version {version}, and this one knows {len(scripts)}.",
            "Update modelhub, or set MODELHUB_HOME to another folder.",
        )
    if version < len(scripts):
        _migrate(connection, scripts)


def _declared_lineage(base_model: str | None) -> str | None:
    """For SQL: the lineage that the name of a base model stands for."""
    from modelhub.catalog.declared import declared_lineage

    return declared_lineage(base_model) if isinstance(base_model, str) else None


def _migrate(connection: sqlite3.Connection, scripts: list[Path]) -> None:
    """`user_version` counts the migrations that were applied, so that a catalog that is up to date is known at once."""
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    _use_wal(connection)
    migrations = Migrations("modelhub")
    for path in scripts:
        sql = path.read_text(encoding="utf-8")

        def apply(db: Database, sql: str = sql) -> None:
            for statement in _statements(sql):
                db.conn.execute(statement)

        migrations(name=path.stem)(apply)
    connection.execute("BEGIN IMMEDIATE")  # another process may be doing the same
    try:
        migrations.apply(Database(connection, execute_plugins=False))  # other people's plugins have no business here
        connection.execute(f"PRAGMA user_version = {len(scripts)}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn WAL mode on. SQLite does not wait by itself when another process does the same at that moment."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the migration's transaction."""
    text = ""
    for line in sql.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
