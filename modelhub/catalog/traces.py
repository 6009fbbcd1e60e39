"""Traces: finding the asset that somebody remembers by a part of a hash, a number of Civitai's, or a file's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.columns import FROM_CIVITAI
from modelhub.text import is_utf8

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.reading import CatalogReader

#: Fewer digits of a hash than six name nothing for sure.
_DIGITS = re.compile(r"[0-9a-f]{6,64}")
_LONGEST_NAME = 400
#: Endings of files of weights, which names in pictures have or have not.
_ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft")


class Trace(NamedTuple):
    """What is remembered of a model: digits of some hash, Civitai's number of its version, a name or path."""

    hash: str | None = None
    version: int | None = None
    name: str | None = None


class Found(NamedTuple):
    """The asset that a trace leads to, and by what: "hash", "civitai" or "name".

    `is_other`: it has that name, and its hashes say that it is another content. `is_unsure`: another content has that
    hash, too, and none of them the name, or both. AutoV1, which most merges share with a parent, is such a hash.
    """

    asset: Asset
    by: str
    is_other: bool = False
    is_unsure: bool = False


def find(catalog: CatalogReader, trace: Trace, kinds: Collection[str] = ()) -> Found | None:
    """The asset that a trace leads to, None for none; those of `kinds` count before all others, present before missing.

    A hash counts more than the number, this more than a name, which decides between those of one hash. A name alone
    counts for assets of `kinds`, if there are any.
    """
    named = [asset for asset in _named(catalog, trace.name) if not kinds or asset.kind in kinds]
    for by, assets in (("hash", _hashed(catalog, trace.hash)), ("civitai", _numbered(catalog, trace))):
        if assets:
            contents = {_content(asset) for asset in named}
            both = [asset for asset in assets if _content(asset) in contents]
            meant = [asset for asset in both or assets if asset.kind in kinds] or both or assets
            is_unsure = by == "hash" and len({_content(asset) for asset in meant}) > 1
            return Found(_best(both or assets, kinds, named), by, is_unsure=is_unsure)
    if not named:
        return None
    same = [asset for asset in named if not _differs(asset, trace.hash)]
    return Found(_best(same or named, kinds), "name", is_other=not same)


def _best(assets: Sequence[Asset], kinds: Collection[str], named: Sequence[Asset] = ()) -> Asset:
    def order(asset: Asset) -> tuple[bool, bool, bool, int]:
        return asset.missing, bool(kinds) and asset.kind not in kinds, asset not in named, asset.id

    return min(assets, key=order)


def _content(asset: Asset) -> str | int:
    """What copies of an asset share; one of no known SHA256 has none."""
    return asset.sha256 or asset.id


def _hashed(catalog: CatalogReader, digits: str | None) -> list[Asset]:
    """By any hash of the file, or the one of its weights that its trainer wrote into it."""
    if digits is None or not _DIGITS.fullmatch(digits):
        return []
    found = catalog.hashed(digits)
    if found:
        return found
    sql = "SELECT id FROM assets WHERE trashed IS NULL AND json_extract(facts, '$.embedded_hash') LIKE ? LIMIT 20"
    return catalog.assets([row[0] for row in catalog.rows(sql, [f"{digits}%"])])


_BY_LOOKUP = """
SELECT assets.id FROM lookups JOIN assets ON assets.sha256 = lookups.sha256
WHERE trashed IS NULL AND lookups.found AND provider = 'civitai' AND version = ? LIMIT 20
"""
_BY_SIDECAR = f"""
SELECT id FROM assets WHERE trashed IS NULL AND {FROM_CIVITAI}
    AND CAST(json_extract(sidecar, '$.version_id') AS TEXT) = ? LIMIT 20
"""  # noqa: S608


def _numbered(catalog: CatalogReader, trace: Trace) -> list[Asset]:
    if trace.version is None:
        return []
    rows = [row for sql in (_BY_LOOKUP, _BY_SIDECAR) for row in catalog.rows(sql, [str(trace.version)])]
    return catalog.assets(list(dict.fromkeys(row[0] for row in rows)))


def _named(catalog: CatalogReader, name: str | None) -> list[Asset]:
    """By a file's name, with or without its ending and folders, as programs write it down."""
    name = (name or "").replace("\\", "/").rpartition("/")[2].strip()
    if not name or len(name) > _LONGEST_NAME or not is_utf8(name):
        return []
    for spelled in _spellings(name):
        if found := catalog.named(spelled):
            return found
    return []


def _spellings(name: str) -> Iterable[str]:
    yield name
    stem = next((name[: -len(end)] for end in _ENDINGS if name.lower().endswith(end)), None)
    if stem:
        yield stem
    else:
        yield from (f"{name}{end}" for end in _ENDINGS if "." in name)


def _differs(asset: Asset, digits: str | None) -> bool:
    """Whether an asset is another content than these digits are of, by hashes of the same length that are known.

    Ten digits are of a SHA256, twelve of the weights; of others nobody can tell.
    """
    embedded = str(asset.facts.get("embedded_hash") or "")
    known = {"sha256": asset.hashes["sha256"], "autov3": asset.hashes["autov3"], "embedded": embedded or None}
    if (
        digits is None
        or asset.hashes["sha256"] is None
        or any(one and one.startswith(digits) for one in known.values())
    ):
        return False
    return len(digits) in (10, 64) or (len(digits) == 12 and known["autov3"] is not None)
