"""Fits that are kept: how layouts of adapters meet layouts of models, so that no pair of files is compared twice.

They are worth a few milliseconds each, no more: a catalog that cannot be written now is one that keeps nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from modelhub.catalog.database import CatalogFile
from modelhub.errors import FileError

#: Milliseconds to wait for another program that writes: a fit is not worth more.
_PATIENCE = 250
#: Digits of a fingerprint, with which the name of a layout begins.
_DIGITS = 32


class Fits:
    """The fits of a catalog that `made_by`, a version of the rules, made. Layouts are named by fingerprints."""

    def __init__(self, catalog: CatalogFile, made_by: str) -> None:
        self._catalog, self._made_by = catalog, made_by
        self._can_keep, self._has_new = True, False

    def of(self, adapter: str) -> Iterator[tuple[str, Any]]:
        """(model, fit as plain values) of all that are kept for the layout of an adapter; damaged ones are left out."""
        sql = "SELECT model, fit FROM fits WHERE adapter = ? AND made_by = ?"
        for model, packed in self._catalog.rows(sql, [adapter, self._made_by]).fetchall():
            with suppress(zlib.error, ValueError, TypeError):
                yield model, json.loads(zlib.decompress(packed))

    def keep(self, rows: Iterable[tuple[str, str, Any]]) -> None:
        """Keep (adapter, model, fit as plain values).

        After the first time that the catalog cannot be written, or is in use, nothing is kept.
        """
        if not self._can_keep:
            return
        whole = [(adapter, model, self._made_by, _packed(fit)) for adapter, model, fit in rows]
        try:
            with self._hurried(), self._catalog.atomic():
                self._catalog.each("INSERT OR REPLACE INTO fits VALUES (?, ?, ?, ?)", whole)
                self._has_new = True
        except FileError:
            self._can_keep = False

    def sweep(self) -> None:
        """After new ones were kept: forget what other rules made, and layouts that no asset has any more."""
        if not (self._has_new and self._can_keep):
            return
        here = "SELECT fingerprint FROM assets WHERE fingerprint IS NOT NULL"
        sql = (
            f"DELETE FROM fits WHERE made_by <> ? OR substr(adapter, 1, {_DIGITS}) NOT IN ({here}) "  # noqa: S608
            f"OR substr(model, 1, {_DIGITS}) NOT IN ({here})"
        )
        with suppress(FileError), self._hurried(), self._catalog.atomic():
            self._catalog.rows(sql, [self._made_by])

    @contextmanager
    def _hurried(self) -> Iterator[None]:
        """Inside, another program that writes is hardly waited for; afterwards it is, as before."""
        before = int(self._catalog.rows("PRAGMA busy_timeout").fetchone()[0])
        self._catalog.rows(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            yield
        finally:
            self._catalog.rows(f"PRAGMA busy_timeout = {before}")


def _packed(fit: Any) -> bytes:
    return zlib.compress(json.dumps(fit, separators=(",", ":")).encode(), 1)
