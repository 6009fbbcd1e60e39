"""Askable: what providers may be asked for: hashes and known names of assets, and which are nobody's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.columns import FROM_CIVITAI, NEVER_LOOK_UP

if TYPE_CHECKING:
    from modelhub.catalog.reading import CatalogReader

#: Ids in one statement; every build of SQLite takes so many.
_PAGE = 500


class Askable(NamedTuple):
    """One asset as a provider is asked for it: `sha256` and `autov3` in lower-case hex, None if they are not known.

    `embedded` is the hash of the tensors as its header tells it, which may be old. `model` and `version` are Civitai's
    ids by a sidecar. `never`: no provider may be asked.
    """

    id: int
    path: str
    name: str
    kind: str
    size: int
    format: str
    sha256: str | None
    autov3: str | None
    embedded: str | None
    model: str | None
    version: str | None
    base_model: str | None
    title: str | None
    never: bool
    missing: bool


_ID = f"CASE WHEN {FROM_CIVITAI} THEN CAST(json_extract(sidecar, '$.{{}}_id') AS TEXT) END"
_COLUMNS = (
    "id", "path", "name", "kind", "size", "format", "sha256", "autov3", "json_extract(facts, '$.embedded_hash')",
    _ID.format("model"), _ID.format("version"), "json_extract(sidecar, '$.base_model')", "title", NEVER_LOOK_UP,
    "missing",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM assets"  # noqa: S608


def askable(catalog: CatalogReader, ids: Sequence[int]) -> Iterator[Askable]:
    """What assets can be asked for by, in the order of their ids."""
    for start in range(0, len(ids), _PAGE):
        page = list(ids[start : start + _PAGE])
        sql = f"{_SELECT} WHERE id IN ({','.join('?' * len(page))})"
        found = {row[0]: Askable(*row) for row in catalog.rows(sql, page)}
        yield from (found[number] for number in page if number in found)


def secret(catalog: CatalogReader) -> frozenset[str]:
    """The hashes that must not be sent: those of all assets that are not to be looked up, in the trash or not.

    Another asset may be a copy of one of them.
    """
    weights = "substr(json_extract(facts, '$.embedded_hash'), 1, 12)"
    sql = f"SELECT sha256, autov3, {weights} FROM assets WHERE {NEVER_LOOK_UP}"  # noqa: S608
    return frozenset(digest for row in catalog.rows(sql) for digest in row if digest)
