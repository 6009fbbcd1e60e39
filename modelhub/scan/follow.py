"""Follow files that moved: by inode on one disk, by hash to another; what the user said of them goes along."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import FileRow
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError
from modelhub.formats.hashes import hash_asset
from modelhub.formats.walk import Found
from modelhub.jobs import Job

State = tuple[int, int, int, int]


def renamed(before: Mapping[str, FileRow], changed: Mapping[str, Found], seen: Collection[str]) -> dict[str, str]:
    """Old path to new path of every file that has another name now, also of files that swapped their names.

    A path with the device, inode, size and time that another path had is that file. One that took the place of another
    is left out: what the user said of the other one would have no place.
    """
    left = {state(row): path for path, row in before.items() if path in changed and state(changed[path]) != state(row)}
    left |= {state(row): path for path, row in before.items() if path not in seen}
    moves: dict[str, str] = {}
    for new, found in changed.items():
        old = left.get(state(found), new)
        if old != new and (old in seen or not os.path.lexists(old)):
            moves.setdefault(old, new)
    while stuck := [old for old, new in moves.items() if new in before and new not in moves]:
        for old in stuck:
            del moves[old]
    return moves


def state(known: FileRow | Found) -> State:
    """What tells one content from another without reading it."""
    return known.device, known.inode, known.size, known.modified


def reappeared(catalog: Catalog, lost: Iterable[int], added: Iterable[int], job: Job) -> dict[int, int]:
    """Id of a missing asset to the id of the new one that is its content, found by size and then by hash.

    A missing file that was never hashed is recognised by its size, its time, its layout and its name together.
    """
    fresh: dict[int, list[Asset]] = {}
    for asset in catalog.assets(list(added)):
        fresh.setdefault(asset.size, []).append(asset)
    gone = [asset for asset in catalog.assets(list(lost)) if asset.size in fresh]
    found: dict[int, int] = {}
    for asset in sorted(gone, key=lambda one: not (one.tags or one.rating or one.notes)):
        for new in fresh[asset.size]:
            if new.id not in found.values() and _same(catalog, asset, new, job):
                found[asset.id] = new.id
                break
    return found


def _same(catalog: Catalog, gone: Asset, new: Asset, job: Job) -> bool:
    if gone.fingerprint != new.fingerprint or gone.format != new.format:
        return False
    if gone.sha256 is None:
        seconds = 10**9  # other file systems keep times less exactly
        return gone.name == new.name and gone.stat.modified // seconds == new.stat.modified // seconds
    return _sha256(catalog, new, job) == gone.sha256


def _sha256(catalog: Catalog, asset: Asset, job: Job) -> str | None:
    """The hash of a new asset, made once and kept."""
    known = catalog.get(asset.id).sha256
    if known is not None:
        return known
    try:
        hashes = hash_asset(Path(asset.path), "fast", job)
    except ModelhubError as error:
        if error.code == "cancelled":
            raise
        return None
    catalog.set_hashes(asset.id, hashes)
    return hashes.sha256
