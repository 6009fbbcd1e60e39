"""Follow files that moved: by inode on one disk, by hash to another; what the user said of them goes along."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import FileRow
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError
from modelhub.formats.hashes import hash_asset
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.formats.walk import Found
from modelhub.jobs import Job

State = tuple[int, int, int, int]
_SECOND = 10**9  # other file systems keep times less exactly


def renamed(
    before: Mapping[str, FileRow],
    changed: Mapping[str, Found],
    seen: Collection[str],
    aliases: Collection[str] = (),
) -> dict[str, str]:
    """Old path to new path of every file that has another name now, also of files that swapped their names.

    A path with the device, inode, size and time that another path had is that file; `aliases` are paths that lead to
    other contents now. One that took the place of another is left out: what the user said of the other one would have
    no place.
    """
    left = {state(row): path for path, row in before.items() if path in changed and state(changed[path]) != state(row)}
    left |= {state(row): path for path, row in before.items() if path not in seen}
    moves: dict[str, str] = {}
    for new, found in changed.items():
        old = left.get(state(found), new)
        if old != new and (old in seen or old in aliases or not os.path.lexists(old)):
            moves.setdefault(old, new)
    while stuck := [old for old, new in moves.items() if new in before and new not in moves]:
        for old in stuck:
            del moves[old]
    return moves


def state(known: FileRow | Found) -> State:
    """What tells one content from another without reading it."""
    return known.device, known.inode, known.size, known.modified


def reappeared(catalog: Catalog, absent: Iterable[int], added: Iterable[int], job: Job) -> dict[int, int]:
    """Id of a missing asset to the id of the new one that is its content, found by size and layout, then by hash.

    A missing file that was never hashed is recognised by its size, its time, its layout and its name together.
    """
    return _matches(catalog, _gone(catalog, absent), catalog.assets(list(added)), job)


def survivors(catalog: Catalog, lost: Iterable[int], present: Iterable[int], job: Job) -> dict[int, int]:
    """Id of an asset that has just gone to the id of one that was known before and is its content.

    That is a copy, or what a scan found that was killed before it came to this. Only one that the user said nothing of
    is taken, and it is hashed only if its name or time is that of the lost one. While a disk is unplugged, its files
    are not lost.
    """
    gone = [asset for asset in _gone(catalog, lost) if _is_disk_there(asset)]
    return _matches(catalog, gone, _likely(catalog.assets(list(present)), gone), job) if gone else {}


def _gone(catalog: Catalog, absent: Iterable[int]) -> list[Asset]:
    return [asset for asset in catalog.assets(list(absent)) if not os.path.lexists(asset.path)]


def _is_disk_there(asset: Asset) -> bool:
    """Whether the folder that held the file, or what is left of the way to it, is on the disk that held the file."""
    above = next((folder for folder in asset.path.parents if os.path.isdir(folder)), asset.path)  # noqa: PTH112 (never raises)
    return os.path.isdir(above) and FileStat.of(above.stat()).device == asset.stat.device  # noqa: PTH112


def _matches(catalog: Catalog, gone: Iterable[Asset], candidates: Iterable[Asset], job: Job) -> dict[int, int]:
    shelves: dict[object, _Shelf] = {}
    for asset in candidates:
        shelves.setdefault(_layout(asset), _Shelf(catalog, job)).put(asset)
    found: dict[int, int] = {}
    for asset in sorted(gone, key=lambda one: not _has_words(one)):
        shelf = shelves.get(_layout(asset))
        new = None if shelf is None else shelf.take(asset)
        if new is not None:
            found[asset.id] = new
    return found


def take_over(catalog: Catalog, old: int, new: int) -> bool:
    """The missing asset `old` goes on as `new`, unless either of them was changed meanwhile."""
    with catalog.atomic():
        rows = catalog.assets([old, new])
        if len(rows) < 2 or os.path.lexists(rows[0].path) or catalog.by_path(rows[1].path) != rows[1]:
            return False
        try:
            if stat_of(rows[1].path) != rows[1].stat:
                return False
        except FileError:
            return False
        catalog.follow(old, new)
    return True


def _has_words(asset: Asset) -> bool:
    return bool(asset.tags or asset.rating or asset.notes or asset.said)


def _layout(asset: Asset) -> object:
    return asset.size, asset.fingerprint, asset.format


def _second(asset: Asset) -> int:
    return asset.stat.modified // _SECOND


def _likely(present: Iterable[Asset], gone: Collection[Asset]) -> Iterator[Asset]:
    hashes, names = {one.sha256 for one in gone}, {one.name for one in gone}
    times = {_second(one) for one in gone}
    for asset in present:
        alike = asset.name in names or _second(asset) in times if asset.sha256 is None else asset.sha256 in hashes
        if (alike or (asset.name in names and None in hashes)) and not _has_words(asset):
            yield asset


class _Shelf:
    """Assets of one size and layout; each is hashed once at most, when it is asked for, and taken once."""

    def __init__(self, catalog: Catalog, job: Job) -> None:
        self._catalog, self._job = catalog, job
        self._twins: dict[tuple[str, int], list[int]] = {}
        self._hashed: dict[str, list[int]] = {}
        self._unhashed: dict[int, Asset] = {}
        self._order: list[int] = []
        self._named: dict[str, list[int]] = {}
        self._taken: set[int] = set()

    def put(self, asset: Asset) -> None:
        """One more."""
        self._twins.setdefault((asset.name, _second(asset)), []).append(asset.id)
        if asset.sha256 is not None:
            self._hashed.setdefault(asset.sha256, []).append(asset.id)
            return
        self._unhashed[asset.id] = asset
        self._order.append(asset.id)
        self._named.setdefault(asset.name, []).append(asset.id)

    def take(self, gone: Asset) -> int | None:
        """The id of one that has the content of `gone`."""
        if gone.sha256 is None:
            return self._pop(self._twins.get((gone.name, _second(gone)), []))
        ready = self._hashed.setdefault(gone.sha256, [])
        found = self._pop(ready)
        while found is None and self._hash_one(gone.name):
            found = self._pop(ready)
        return found

    def _pop(self, ids: list[int]) -> int | None:
        """One that is not taken yet, off the list."""
        while ids:
            if (number := ids.pop()) not in self._taken:
                self._taken.add(number)
                return number
        return None

    def _hash_one(self, name: str) -> bool:
        """Hash one of those that are not hashed yet, one of this name first; False when all are."""
        for ids in (self._named.get(name, []), self._order):
            while ids:
                asset = self._unhashed.pop(ids.pop(), None)
                if asset is None or asset.id in self._taken:
                    continue
                sha256 = _sha256(self._catalog, asset, self._job)
                self._hashed.setdefault(sha256 or "", []).append(asset.id)
                return True
        return False


def _sha256(catalog: Catalog, asset: Asset, job: Job) -> str | None:
    """The hash of an asset, kept for later; None for a file that cannot be read, or is not as it was scanned."""
    try:
        hashes = hash_asset(asset.path, "fast", job)
        as_scanned = stat_of(asset.path) == asset.stat
    except ModelhubError as error:
        if error.code == "cancelled":
            raise
        return None
    return hashes.sha256 if as_scanned and catalog.set_hashes(asset.id, hashes, asset.stat) else None
