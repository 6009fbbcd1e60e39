"""The library by its hashes: which file of the user's an adapter was trained on, for thousands of adapters at once."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

from modelhub.catalog.asset import Asset
from modelhub.catalog.columns import HASH_NAMES
from modelhub.catalog.reading import CatalogReader


class Library:
    """Names of the assets of a catalog by all of their hashes, read when the first is asked for."""

    def __init__(self, catalog: CatalogReader) -> None:
        self._catalog = catalog

    def trained_on(self, asset: Asset) -> str:
        """The name of the file that an adapter was trained on, by the hash that its trainer wrote down; "" for none.

        As `CatalogReader.trained_on`, which asks the catalog each time.
        """
        digest = asset.base_hash
        if not digest:
            return ""
        at = bisect_left(self._hashes, (digest,))
        for found, name, number in self._hashes[at : at + 2]:
            if found.startswith(digest) and number != asset.id:
                return name
        return ""

    @cached_property
    def _hashes(self) -> list[tuple[str, str, int]]:
        """(hash, name, id), sorted."""
        rows = self._catalog.rows(f"SELECT name, id, {', '.join(HASH_NAMES)} FROM assets WHERE trashed IS NULL")  # noqa: S608
        return sorted((digest, row[0], row[1]) for row in map(tuple, rows) for digest in row[2:] if digest)
