"""The catalog as the interface uses it: one connection for short reads in the main thread, others for the workers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.counting import Census, census, folders, untagged, values
from modelhub.catalog.folder_tree import FolderTree, folder_tree
from modelhub.catalog.store import Catalog
from modelhub.catalog.trouble import catalog_error

#: What LoRAs and VAEs are looked for with.
LORAS, VAES = "kind:lora missing:no", "(kind:vae OR kind:checkpoint) missing:no"


class Library:
    """A catalog folder, open for reading in the thread that made this object."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open or create the catalog; raises what `Catalog.open` raises."""
        self._catalog = Catalog.open(folder)
        self.folder = self._catalog.folder
        self._version = 0
        self.changed()

    def __reduce__(self) -> tuple[type[Library], tuple[Path]]:
        """In another process it is opened anew."""
        return type(self), (self.folder,)

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
class Survey(Census):
    """What the sidebar shows: how many assets there are of everything, of each tag and in each folder.

    `scanned` are the folders that a scan looks through.
    """

    tags: dict[str, int] = field(default_factory=dict)
    untagged: int = 0
    folders: FolderTree = field(default_factory=FolderTree)
    scanned: tuple[str, ...] = ()


def survey(catalog: Catalog) -> Survey:
    """Count everything; a few milliseconds per thousand assets."""
    found = census(catalog)
    roots = tuple(map(str, catalog.roots()))
    tree = folder_tree(roots, folders(catalog))
    return Survey(**vars(found), tags=catalog.tags(), untagged=untagged(catalog), folders=tree, scanned=roots)


def values_of(catalog: Catalog, field: str) -> dict[str, int]:
    """What may stand behind a field of the query language, and how many assets it finds; empty for free text."""
    if field == "path":
        tree = folder_tree(map(str, catalog.roots()), folders(catalog))
        return {os.path.join(path, ""): count for path, count in tree.counts.items()}  # noqa: PTH118
    return values(catalog, field)


def term(field: str, value: str) -> str:
    """`field:value` in the query language, quoted where needed."""
    if value and not any(char.isspace() or char in '()"\\' for char in value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'
