"""The catalog as the interface uses it: one connection for short reads in the main thread, others for the workers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.catalog.trouble import catalog_error


class Library:
    """A catalog folder, open for reading in the thread that made this object."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open or create the catalog; raises what `Catalog.open` raises."""
        self._catalog = Catalog.open(folder)
        self.folder = self._catalog.folder
        self._version = 0
        self.changed()

    def page(self, ids: Sequence[int]) -> list[Asset]:
        """The assets of a page of ids. Raises FileError when the database cannot be read."""
        with readable(self.folder):
            return self._catalog.assets(ids)

    def changed(self) -> bool:
        """Whether anybody wrote to the catalog since this was asked last."""
        try:
            version = int(self._catalog.rows("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return False
        before, self._version = self._version, version
        return version != before

    @contextmanager
    def open(self) -> Iterator[Catalog]:
        """A connection for the thread that asks. Raises FileError when the database cannot be used."""
        with Catalog.open(self.folder) as catalog, readable(self.folder):
            yield catalog

    def close(self) -> None:
        """Close the connection of the main thread."""
        self._catalog.close()


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What SQLite complains of, as an error with a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise catalog_error(error, folder / "catalog.db") from error


@dataclass(frozen=True)
class Survey:
    """What the sidebar shows: how many assets there are of each kind, architecture, tag and folder."""

    total: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    architectures: dict[str, dict[str | None, int]] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    folders: dict[Path, int] = field(default_factory=dict)


def survey(catalog: Catalog) -> Survey:
    """Count everything; a few milliseconds per ten thousand assets."""
    kinds = {kind or "unknown": count for kind, count in catalog.counts("kind").items()}
    return Survey(
        total=sum(kinds.values()),
        kinds=kinds,
        architectures={kind: catalog.counts("architecture", f"kind:{kind}") for kind in kinds},
        tags=catalog.tags(),
        folders={root: catalog.count(folder_term(root)) for root in catalog.roots()},
    )


def folder_term(folder: Path) -> str:
    """The query that finds what lies below a folder."""
    return term("path", f"{folder}/")


def term(field: str, value: str) -> str:
    """`field:value` in the query language, quoted where needed."""
    if value and not any(char.isspace() or char in '()"\\' for char in value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'
