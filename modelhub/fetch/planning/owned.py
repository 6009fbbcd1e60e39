"""Owned: whether the user has the very bytes already, wherever they lie; what was never hashed is hashed for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modelhub.catalog import lookups
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.order import Order
from modelhub.formats.hashes import Hashes, hash_file
from modelhub.formats.stat import FileStat
from modelhub.jobs import QUIET, Job

#: Files of the same size that were never hashed: so many are, those with the same name first. It costs less than a
#: download; the LoRAs of one trainer may all have one size.
_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Owned:
    """The bytes are at `path` already; `asset` is their id in the catalog, if they are in it."""

    path: Path
    hashes: Hashes
    asset: int | None = None


def find_owned(catalog: Catalog, file: RemoteFile, order: Order, job: Job = QUIET) -> Owned | None:
    """Where the bytes of `file` are already: known by their hash, of the same size and hash, or where they are to go.

    What no hash is told of is owned if something of its size came from this address before. Raises CancelledError.
    """
    sha256, goal = file.hashes.get("sha256"), order.goal
    if sha256 is None:
        return _from_there(catalog, file, order)
    known = _known(catalog, sha256) or _unhashed(catalog, file, sha256, job)
    if known is not None:
        return Owned(known.path, Hashes(**known.hashes), known.id)
    found = same_bytes(goal, file, job)
    return Owned(goal, found) if found else None


def owned_of(catalog: Catalog, digests: Iterable[str]) -> dict[str, int]:
    """Which contents are here, by their SHA256: each with an asset of it. Nothing is hashed for it."""
    found = ((digest, _known(catalog, digest)) for digest in digests)
    return {digest: asset.id for digest, asset in found if asset is not None}


def same_bytes(path: Path, file: RemoteFile, job: Job = QUIET) -> Hashes | None:
    """The hashes of what is at `path`, if these are the bytes of `file`; None also where nobody can tell."""
    sha256 = file.hashes.get("sha256")
    try:
        if sha256 is None or not path.is_file() or file.exact_size not in (None, path.stat().st_size):
            return None
        found = hash_file(path, "fast", job)
    except (FileError, OSError):
        return None
    return found if found.sha256 == sha256 else None


def twins_of(catalog: Catalog, sha256: str | None, path: Path) -> tuple[str, ...]:
    """What to say of a file that came although the same bytes were there: its provider had told no hash of it."""
    other = _known(catalog, sha256) if sha256 else None
    return (f"The same file is at {other.path}, too.",) if other is not None and other.path != path else ()


def _from_there(catalog: Catalog, file: RemoteFile, order: Order) -> Owned | None:
    """What came from the address of an order before, if it may still be the same."""
    if order.provider != "web" or file.exact_size is None:
        return None
    numbers = lookups.owned(catalog, [order.address], "web").get(order.address, {}).values()
    found = (asset for asset in map(catalog.get, numbers) if asset.size == file.exact_size and _is_there(asset))
    return next((Owned(one.path, Hashes(**one.hashes), one.id) for one in found), None)


def _known(catalog: Catalog, sha256: str) -> Asset | None:
    return next(filter(_is_there, catalog.with_sha256(sha256)), None)


def _unhashed(catalog: Catalog, file: RemoteFile, sha256: str, job: Job) -> Asset | None:
    """An asset that was never hashed and turns out to be the file; what was found out of others is kept too."""
    if file.exact_size is None:
        return None
    alike = sorted(catalog.unhashed_of_size(file.exact_size), key=lambda asset: asset.name != file.name)
    for asset in islice(filter(_is_there, alike), _CANDIDATES):
        try:
            found = hash_file(asset.path, "fast", job)
            catalog.set_hashes(asset.id, found, asset.stat)
        except FileError:
            continue
        if found.sha256 == sha256:
            return catalog.get(asset.id)
    return None


def _is_there(asset: Asset) -> bool:
    """Whether the file is still the one that the catalog knows; disks get other numbers when they are plugged in."""
    try:
        now = FileStat.of(asset.path.stat())
    except OSError:
        return False
    return asset.path.is_file() and now._replace(device=asset.stat.device) == asset.stat
