"""Open what a REF names as a source, with the facts that a recipe records: its name and its SHA256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.asset import Asset, FileStat
from modelhub.catalog.refs import locate
from modelhub.catalog.store import Catalog
from modelhub.formats.closing import Closing
from modelhub.formats.hashes import hash_asset
from modelhub.formats.opening import members, open_source, stat_of
from modelhub.formats.source import TensorSource
from modelhub.formats.watching import stats_of
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True, slots=True)
class Parent:
    """An opened model. `sha256` is None when it is not known and was not asked for.

    `stats` are its files with weights, and how they were when it was opened.
    """

    source: TensorSource
    path: Path
    name: str
    sha256: str | None
    stats: Mapping[Path, FileStat] = field(default_factory=dict)


class Opener(Closing):
    """Opens REFs and closes everything at the end. `hashed`: hash a file whose SHA256 the catalog does not know."""

    def __init__(self, catalog: Catalog, *, hashed: bool = False, job: Job = QUIET) -> None:
        self._catalog, self._hashed, self._job = catalog, hashed, job
        self._opened: list[Parent] = []
        self._known: dict[FileStat, str | None] = {}

    def __call__(self, ref: str) -> Parent:
        """Open one model, of whatever format. Raises NotFoundError, AmbiguousError, FileError."""
        path, asset = locate(self._catalog, ref)
        stats = stats_of(members(path))  # first: a file that is replaced while it is opened is another one at once
        source = open_source(path)
        try:
            parent = Parent(source, path, path.stem, self._sha256(path, asset), stats)
        except BaseException:
            source.close()
            raise
        self._opened.append(parent)
        return parent

    def _sha256(self, path: Path, asset: Asset | None) -> str | None:
        found = known_sha256(path, asset)
        if found is not None:
            return found
        stat = stat_of(path)
        if self._hashed and stat not in self._known:
            self._known[stat] = make_sha256(path, asset, self._catalog, self._job)
        return self._known.get(stat)

    def close(self) -> None:
        """Close every source that was opened."""
        while self._opened:
            self._opened.pop().source.close()


class SharedOpener(Opener):
    """Opens each REF once: who asks for it again gets the same source, and so tensors of the same origin."""

    def __init__(self, catalog: Catalog, *, hashed: bool = False, job: Job = QUIET) -> None:
        super().__init__(catalog, hashed=hashed, job=job)
        self._by_ref: dict[str, Parent] = {}

    def __call__(self, ref: str) -> Parent:
        """What was opened for this REF before, or now. Raises as an `Opener` does."""
        if ref not in self._by_ref:
            self._by_ref[ref] = super().__call__(ref)
        return self._by_ref[ref]


def known_sha256(path: Path, asset: Asset | None) -> str | None:
    """The SHA256 of what is at `path` if `asset` has it and its file is as it was when it was scanned."""
    return asset.sha256 if asset is not None and asset.sha256 and asset.stat == stat_of(path) else None


def make_sha256(path: Path, asset: Asset | None, catalog: Catalog | None, job: Job = QUIET) -> str | None:
    """Hash what is at `path`; the catalog keeps it for `asset`, if its file is and stays as it was when it was scanned.

    Raises what `hash_asset` raises.
    """
    stat = stat_of(path)
    hashes = hash_asset(path, "fast", job)
    if catalog is not None and asset is not None and asset.stat == stat == stat_of(path):
        catalog.set_hashes(asset.id, hashes, stat)
    return hashes.sha256
