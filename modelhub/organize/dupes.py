"""Duplicates: the same bytes twice, and the same weights in another format, precision or with less beside them.

Nothing is deleted here. Links to one content are one asset and never counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError
from modelhub.formats.hashes import hash_many
from modelhub.formats.opening import stat_of
from modelhub.jobs import QUIET, Job
from modelhub.organize.compare import Weights, compare, prefixes
from modelhub.organize.relation import choose, proof, relate, why_kept
from modelhub.organize.sketch import SKETCH_VERSION, candidates, sketch
from modelhub.organize.verify import ROT


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An asset that another makes needless: how they are related, what would be lost with it, and what was compared."""

    asset: Asset
    relation: str
    loses: str = ""
    compared: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        asset = self.asset
        plain = {"id": asset.id, "path": str(asset.path), "size": asset.size}
        return {**plain, "relation": self.relation, "loses": self.loses or None, "compared": self.compared or None}


@dataclass(frozen=True, slots=True)
class Group:
    """Assets that are one: `same` is "bytes" or "weights", `keep` the one to keep and `why`, `others` the rest."""

    same: str
    keep: Asset
    why: str
    others: tuple[Duplicate, ...]

    @property
    def saves(self) -> int:
        """Bytes that are free when only `keep` is left."""
        return sum(other.asset.size for other in self.others)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        keep = {"id": self.keep.id, "path": str(self.keep.path), "size": self.keep.size, "why": self.why}
        return {"same": self.same, "keep": keep, "others": [o.as_dict() for o in self.others], "saves": self.saves}


@dataclass
class DupesReport:
    """What was found: the groups, those that save most first, and the assets that were left out with the reason."""

    assets: int = 0
    groups: list[Group] = field(default_factory=list)
    skipped: list[tuple[Asset, str]] = field(default_factory=list)

    @property
    def saves(self) -> int:
        """Bytes that are free when of every group only one is left; no asset is counted twice."""
        return sum(group.saves for group in self.groups)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        skipped = [{"id": asset.id, "path": str(asset.path), "message": reason} for asset, reason in self.skipped]
        groups = [group.as_dict() for group in self.groups]
        return {"assets": self.assets, "groups": groups, "saves": self.saves, "skipped": skipped}


def dupes(catalog: Catalog, assets: Iterable[Asset], *, exact: bool = False, job: Job = QUIET) -> DupesReport:
    """Find the duplicates among `assets`.

    Files of one size that have no hash are hashed, and models without a sample sampled; both are kept in the catalog.
    `exact`: compare every number of models that seem the same. Raises CancelledError when stopped.
    """
    search = _Search(catalog, job, exact)
    search.take(assets)
    search.same_bytes()
    search.same_weights()
    search.report.groups.sort(key=lambda group: (-group.saves, group.keep.id))
    return search.report


class _Search:
    """One search: the assets that are still in it, by id, and the report."""

    def __init__(self, catalog: Catalog, job: Job, exact: bool) -> None:
        self.catalog, self.job, self.exact = catalog, job, exact
        self.left: dict[int, Asset] = {}
        self.report = DupesReport()

    def take(self, assets: Iterable[Asset]) -> None:
        """The assets whose files are there, undamaged and as they were scanned; of one inode the first."""
        inodes = set()
        for asset in assets:
            self.job.check()
            if asset.missing:
                continue
            if asset.problem_code == ROT:  # its hash is that of what it was: the sound copy would seem needless
                self._skip(asset, f"{asset.path} is damaged, as verify found; its copies may be what is left of it.")
                continue
            inode = (asset.stat.device, asset.stat.inode)
            if inode not in inodes and self._is_unchanged(asset):
                inodes.add(inode)
                self.left[asset.id] = asset
        self.report.assets = len(self.left)

    def _is_unchanged(self, asset: Asset) -> bool:
        try:
            stat = stat_of(asset.path)
        except FileError as error:
            self._skip(asset, error.message)
            return False
        if stat != asset.stat:
            self._skip(asset, f"{asset.path} changed since it was scanned; scan again.")
        return stat == asset.stat

    def _skip(self, asset: Asset, reason: str) -> None:
        self.report.skipped.append((asset, reason))
        self.left.pop(asset.id, None)

    def same_bytes(self) -> None:
        """Assets of one size and SHA256; of each group one stays in the search."""
        twins = [asset for group in _shared(self.left.values(), lambda one: one.size) for asset in group]
        hashes = self._hashes(twins)
        for group in _shared((one for one in twins if one.id in hashes), lambda one: (one.size, hashes[one.id])):
            keep, *others = choose(group)
            same = tuple(Duplicate(asset, "the same bytes") for asset in others)
            self.report.groups.append(Group("bytes", keep, why_kept(keep, others), same))
            for other in others:
                del self.left[other.id]

    def _hashes(self, assets: list[Asset]) -> dict[int, str]:
        """Asset id to SHA256; made where it is not known, and kept."""
        known = {asset.id: asset.sha256 for asset in assets if asset.sha256}
        unknown = {asset.path: asset for asset in assets if not asset.sha256}
        with closing(hash_many(unknown, "fast", job=self.job)) as answers:
            for path, found in answers:
                asset = unknown[path]
                if isinstance(found, ModelhubError):
                    self._skip(asset, found.message)
                elif found.sha256 and self._is_unchanged(asset):
                    self.catalog.set_hashes(asset.id, found, asset.stat)
                    known[asset.id] = found.sha256
        return known

    def same_weights(self) -> None:
        """Models whose samples agree, compared tensor by tensor with the one to keep."""
        pairs = candidates(self._sketches())
        clusters = _clusters(pairs)
        with self.job.phase("comparing", sum(map(len, clusters)), "files") as advance:
            for cluster in clusters:
                left = choose([self.left[number] for number in cluster])
                while len(left) > 1:
                    left = self._group(left)
                advance(len(cluster))

    def _sketches(self) -> dict[int, bytes]:
        """Asset id to sketch, of all models that others may be the same as."""
        kept = self.catalog.samples()
        wanted = [one for group in _shared(self.left.values(), _weights_key) for one in group if one.parameters]
        sketches: dict[int, bytes] = {}
        with self.job.phase("sampling", len(wanted), "files") as advance:
            for asset in wanted:
                made_by, data = kept.get(asset.id, ("", b""))
                if made_by != _made_by(asset):
                    data = self._sample(asset)
                sketches[asset.id] = data
                advance(1, asset.name)
        return {number: data for number, data in sketches.items() if number in self.left}

    def _sample(self, asset: Asset) -> bytes:
        try:
            with Weights(asset) as model:
                data = sketch(model.source, model.places)
        except ModelhubError as error:
            self._skip(asset, error.message)
            return b""
        if self._is_unchanged(asset):
            self.catalog.set_sample(asset.id, _made_by(asset), data)
        return data

    def _group(self, assets: list[Asset]) -> list[Asset]:
        """Put all that are the same as the first into one group; returns those that are not."""
        keep, *others = assets
        same: list[Duplicate] = []
        rest: list[Asset] = []
        try:
            with Weights(keep) as kept:
                for other in others:
                    found = self._related(kept, other)
                    if found is None:
                        rest.append(other)
                    else:
                        same.append(Duplicate(other, *found))
        except FileError as error:
            self._skip(keep, error.message)
            return others
        if same:
            why = why_kept(keep, [one.asset for one in same])
            self.report.groups.append(Group("weights", keep, why, tuple(same)))
        return rest

    def _related(self, kept: Weights, other: Asset) -> tuple[str, str, str] | None:
        """Relation, loss and proof of another file of the same weights; None when it is not one, or unreadable."""
        try:
            model = Weights(other)
        except ModelhubError as error:
            self._skip(other, error.message)
            return None
        with model:
            found = compare(kept, model, exact=self.exact, job=self.job)
            return (*relate(kept, model, found), proof(found, exact=self.exact)) if found.same else None


def _shared(assets: Iterable[Asset], key: Callable[[Asset], object]) -> list[list[Asset]]:
    """The assets that share a key with another, in groups."""
    groups = defaultdict(list)
    for asset in assets:
        groups[key(asset)].append(asset)
    return [group for group in groups.values() if len(group) > 1]


def _weights_key(asset: Asset) -> object:
    """Equal for models that may have the same weights: denoisers of one architecture, others of one number of them."""
    if any(part["role"] == "denoiser" for part in asset.components):
        return asset.architecture
    return asset.parameters


def _made_by(asset: Asset) -> str:
    """What a kept sample depends on beside the file."""
    return f"{SKETCH_VERSION} {sorted(prefixes(asset))}"


def _clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The ids that pairs join, in groups."""
    group: dict[int, list[int]] = {}
    for one, two in sorted(pairs):
        first, second = group.setdefault(one, [one]), group.setdefault(two, [two])
        if first is not second:
            first += second
            group.update(dict.fromkeys(second, first))
    return list({id(members): members for members in group.values()}.values())
