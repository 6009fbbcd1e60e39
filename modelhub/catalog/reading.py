"""Reading the catalog: search, look up by name, path or hash, count. Everything here is one SELECT."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.catalog.columns import ALWAYS, HASH_NAMES, SELECT, Condition, below, escape_like
from modelhub.catalog.database import CatalogFile
from modelhub.catalog.orders import order_by
from modelhub.errors import NotFoundError, UsageError
from modelhub.formats.naming import shard_name
from modelhub.text import is_utf8

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.parents import Ancestor

#: Assets in the trash are nobody's concern but the trash's.
_HERE = "trashed IS NULL"
_READABLE = "missing = 0 AND problem IS NULL"
_UNHASHED = "sha256 IS NULL OR blake3 IS NULL"
_FIVE_DIGITS = "[0-9]" * 5
#: A download brings all hashes but those of a part of the file, which only single files have.
_PARTLY_HASHED = f"""
crc32 IS NULL OR (format = 'safetensors' AND autov3 IS NULL AND parameters > 0
    AND name NOT GLOB '*-{_FIVE_DIGITS}-of-{_FIVE_DIGITS}.*')
"""
#: Rows that are read together.
_PAGE = 200


#: What a walk and the catalog both know of a file: path, device, inode, size, modified, sidecars.
State = tuple[str, int, int, int, int, int | None]


class FileRow(NamedTuple):
    """What the catalog knows of one file. The first five are its state, `rules` what identified it."""

    device: int
    inode: int
    size: int
    modified: int
    sidecars: int
    id: int
    missing: int
    rules: str


class CatalogReader(CatalogFile):
    """What the catalog knows. Assets in the trash are found by `in_trash` and by their ids alone."""

    def ids(self, query: str = "", sort: str = "name", *, reverse: bool = False) -> list[int]:
        """The ids of all assets that `query` finds, in order. Raises BadQueryError, UsageError for an unknown sort.

        Sizes, dates and ratings come biggest first, everything else from A to Z; `reverse` turns that round.
        """
        order, where = order_by(sort, reverse=reverse), _where(query)
        sql = f"SELECT id FROM assets WHERE {_HERE} AND ({where.sql}) ORDER BY {order}"  # noqa: S608
        return [row[0] for row in self._tuples(sql, where.parameters)]

    def assets(self, ids: Sequence[int]) -> list[Asset]:
        """The assets of `ids`, in that order; ids that are gone are left out."""
        return list(self.pages(ids))

    def pages(self, ids: Sequence[int]) -> Iterator[Asset]:
        """The same one by one, read in pages: the first is there at once."""
        for start in range(0, len(ids), _PAGE):
            page = list(ids[start : start + _PAGE])
            marks = ",".join("?" * len(page))
            found = {row["id"]: row for row in self.rows(f"{SELECT} WHERE id IN ({marks})", page)}
            yield from _assets(found[number] for number in page if number in found)

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

    def whole(self, number: int) -> dict[str, Any]:
        """The row of an asset with its tags and links as plain values, for `put_back`. Raises NotFoundError."""
        asset = self.get(number)
        row = self.rows("SELECT * FROM assets WHERE id = ?", [number]).fetchone()
        return {"row": dict(row), "tags": asset.tags, "links": asset.links}

    def by_path(self, path: Path) -> Asset | None:
        """The asset at exactly this path, which may be a link to its content, or None."""
        if not is_utf8(str(path)):  # no row has a path that is not text
            return None
        where = "path = ? OR id = (SELECT asset_id FROM links WHERE path = ?)"
        row = self.rows(f"{SELECT} WHERE {_HERE} AND ({where}) ORDER BY path <> ?", [str(path)] * 3).fetchone()
        return next(_assets([row] if row else []), None)

    def in_place(self, path: Path) -> Asset | None:
        """The asset at this path; of a folder that is none itself, the only one below it, else None."""
        found = self.by_path(path)
        if found is not None or not is_utf8(str(path)):
            return found
        inside = below(path)
        rows = self.rows(f"{SELECT} WHERE {_HERE} AND {inside.sql} LIMIT 2", inside.parameters).fetchall()
        return next(_assets(rows), None) if len(rows) == 1 else None

    def named(self, name: str) -> list[Asset]:
        """The assets whose file name or stem is `name`; exact case first, any case if there is none.

        The stem of a set of shards is what stands before their numbers.
        """
        like = f"{SELECT} WHERE {_HERE} AND name LIKE ? ESCAPE '\\' ORDER BY path"
        rows = self.rows(like, [f"{escape_like(name)}%"])
        near = [asset for asset in _assets(rows) if name.lower() in map(str.lower, _names(asset))]
        return [asset for asset in near if name in _names(asset)] or near

    def hashed(self, digits: str) -> list[Asset]:
        """The assets of which any hash begins with these lower-case digits."""
        where = " OR ".join(f"{name} LIKE ?" for name in HASH_NAMES)
        rows = self.rows(f"{SELECT} WHERE {_HERE} AND ({where}) ORDER BY path", [f"{digits}%"] * len(HASH_NAMES))
        return list(_assets(rows))

    def with_sha256(self, sha256: str) -> list[Asset]:
        """The assets of which this is the whole SHA256."""
        return list(_assets(self.rows(f"{SELECT} WHERE {_HERE} AND sha256 = ? ORDER BY path", [sha256])))

    def trained_on(self, asset: Asset) -> Asset | None:
        """The asset that an adapter was trained on, by the hash that its trainer wrote down."""
        alike = self.hashed(asset.base_hash) if asset.base_hash else ()
        return next((found for found in alike if found.id != asset.id), None)

    def merges_of(self, asset: Asset) -> list[tuple[int, Asset]]:
        """The merges that an asset went into, with their depths: 1 as a parent, 2 farther away; nearest first.

        A merge that tells no hash of its parents is found by their names.
        """
        digest, depth, name = (f"json_extract(one.value, '$[{at}]')" for at in range(3))
        by_name = f"({digest} = '' AND lower({name}) IN (?, ?))"
        near = (
            f"SELECT assets.id, min({depth}) FROM assets, json_each(assets.parents) AS one "  # noqa: S608
            f"WHERE {_HERE} AND parents IS NOT NULL AND assets.id <> ? AND ({digest} = ? OR {by_name}) "
            "GROUP BY assets.id ORDER BY 2, assets.name COLLATE NOCASE, assets.path"
        )
        names = (asset.name.lower(), asset.path.stem.lower())
        depths = dict(self._tuples(near, [asset.id, asset.sha256 or "-", *names]))
        return [(depths[found.id], found) for found in self.assets(list(depths))]

    def parents(self, number: int) -> list[Ancestor]:
        """The models that went into an asset, as its metadata tells; empty for what is no merge."""
        import json

        from modelhub.catalog.parents import Ancestor

        row = self.rows("SELECT parents FROM assets WHERE id = ?", [number]).fetchone()
        return [Ancestor(*one) for one in json.loads(row[0])] if row and row[0] else []

    def unhashed(self, *, full: bool = False) -> list[Asset]:
        """The readable assets that lack SHA256 or BLAKE3 (`full`: or any hash), the smallest first."""
        lacks = f"{_UNHASHED} OR {_PARTLY_HASHED}" if full else _UNHASHED
        return list(_assets(self.rows(f"{SELECT} WHERE {_HERE} AND {_READABLE} AND ({lacks}) ORDER BY size")))

    def unhashed_of_size(self, size: int) -> list[Asset]:
        """The readable assets of so many bytes whose SHA256 nobody knows."""
        where = f"{_HERE} AND {_READABLE} AND sha256 IS NULL AND size = ?"
        return list(_assets(self.rows(f"{SELECT} WHERE {where} ORDER BY path", [size])))

    def count_unhashed(self) -> int:
        """How many readable assets lack SHA256 or BLAKE3."""
        sql = f"SELECT count(*) FROM assets WHERE {_HERE} AND {_READABLE} AND ({_UNHASHED})"  # noqa: S608
        return int(self.rows(sql).fetchone()[0])

    def counts(self, column: str, query: str = "") -> dict[str | None, int]:
        """How many assets each value of `column` (kind, architecture, format, dtype, variant) has, within `query`."""
        if column not in ("kind", "architecture", "format", "dtype", "variant"):
            raise UsageError(f"Assets are not counted by '{column}'.")
        where = _where(query)
        sql = f"SELECT {column}, count(*) FROM assets WHERE {_HERE} AND ({where.sql}) GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
        return {row[0]: row[1] for row in self.rows(sql, where.parameters)}

    def count(self, query: str = "") -> int:
        """How many assets `query` finds."""
        where = _where(query)
        sql = f"SELECT count(*) FROM assets WHERE {_HERE} AND ({where.sql})"  # noqa: S608
        return int(self.rows(sql, where.parameters).fetchone()[0])

    def tags(self) -> dict[str, int]:
        """Every tag and how many assets have it, the most used first."""
        here = f"asset_id IN (SELECT id FROM assets WHERE {_HERE})"  # noqa: S608
        rows = self.rows(f"SELECT tag, count(*) FROM tags WHERE {here} GROUP BY tag ORDER BY 2 DESC, 1")  # noqa: S608
        return {row[0]: row[1] for row in rows}

    def roots(self) -> list[Path]:
        """The folders that are scanned."""
        return [Path(row[0]) for row in self.rows("SELECT path FROM roots ORDER BY path")]

    def below(self, folder: Path) -> tuple[int, int]:
        """How many assets lie below a folder, and their bytes together."""
        inside = below(folder)
        sql = f"SELECT count(*), coalesce(sum(size), 0) FROM assets WHERE {_HERE} AND {inside.sql}"  # noqa: S608
        count, size = self.rows(sql, inside.parameters).fetchone()
        return count, size

    def in_trash(self) -> list[Asset]:
        """The assets in the trash; `path` is where each lies now."""
        return list(_assets(self.rows(f"{SELECT} WHERE trashed IS NOT NULL ORDER BY trashed, path")))

    def stats(self) -> dict[str, FileRow]:
        """Path to what is known of every asset's file: what a scan compares with the disk."""
        columns = "path, device, inode, size, modified, sidecar_stamp, id, missing, identified_by"
        new = tuple.__new__  # quicker than naming the fields: there may be 50,000
        rows = self._tuples(f"SELECT {columns} FROM assets WHERE {_HERE}")  # noqa: S608
        return {row[0]: new(FileRow, row[1:]) for row in rows}

    def states(self, rules: str) -> set[State]:
        """The state of every file that is not missing; without the last value if other rules identified it.

        Read in half the time of `stats`: mostly a scan finds that nothing has changed.
        """
        stamp = "CASE WHEN identified_by = ? THEN sidecar_stamp END"
        columns = f"path, device, inode, size, modified, {stamp}"
        return set(self._tuples(f"SELECT {columns} FROM assets WHERE {_HERE} AND missing = 0", [rules]))  # noqa: S608

    def links(self) -> dict[str, int]:
        """Path to asset id of every link to a content that is catalogued under another path."""
        return dict(self._tuples("SELECT path, asset_id FROM links"))

    def samples(self) -> dict[int, tuple[str, bytes]]:
        """Asset id to how its sample was made and the sample, of every asset that has one."""
        return {row[0]: (row[1], row[2]) for row in self._tuples("SELECT asset_id, made_by, data FROM samples")}

    def _tuples(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Rows as plain tuples: a scan reads all of them each time."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, values)


def _names(asset: Asset) -> tuple[str, ...]:
    shard = shard_name(asset.name)
    return (asset.name, asset.path.stem, *([shard.stem] if shard else []))


def _where(query: str) -> Condition:
    """The condition of a search; its language is imported only when something is asked for."""
    if not query.strip():
        return ALWAYS
    from modelhub.catalog.search import compile_query

    return compile_query(query)


def _assets(rows: Iterable[sqlite3.Row]) -> Iterator[Asset]:
    from modelhub.catalog.asset import from_row

    return map(from_row, rows)
