"""Verify: read files again and compare them with the hashes in the catalog, so that bit rot is found in time.

Size and time of writing are as catalogued, and the bytes are not: that is rot. A file that was written to is not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, FileError, ModelhubError, VanishedError
from modelhub.formats.hashes import EMPTY_SHA256, Hashes, hash_many
from modelhub.formats.lanes import drop_cached
from modelhub.formats.opening import members, read_any_header, stat_of
from modelhub.jobs import QUIET, Job
from modelhub.text import one_line, plural

#: What can become of an asset: `unhashed` had no hash to compare with, and has one now.
STATUSES = ("ok", "rot", "changed", "missing", "unreadable", "unhashed")
ROT = "bit-rot"
_DAY = 86_400.0
#: Metadata in which writers put the SHA256 of the data area: AutoV3 is its beginning.
_EMBEDDED = ("modelspec.hash_sha256", "sshs_model_hash")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one asset: a status of `STATUSES`, a sentence for all but "ok", and notes on declared hashes."""

    asset: Asset
    status: str
    message: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        plain = {"id": self.asset.id, "path": str(self.asset.path), "status": self.status}
        return {**plain, "message": self.message or None, "notes": list(self.notes)}


@dataclass
class VerifyReport:
    """All verdicts, how many bytes were read, and the seconds it took."""

    verdicts: list[Verdict] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """How many assets have each status."""
        counted = Counter(verdict.status for verdict in self.verdicts)
        return {status: counted[status] for status in STATUSES}

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        results = [verdict.as_dict() for verdict in self.verdicts]
        numbers = {"bytes": self.bytes, "seconds": self.seconds}
        return {"files": len(self.verdicts), **self.counts, **numbers, "results": results}


def stalest(assets: Iterable[Asset], days: float = 0) -> list[Asset]:
    """The assets that were not verified within `days`, those first that have waited longest."""
    before = time.time() - days * _DAY
    waiting = [asset for asset in assets if not days or (asset.verified or 0) <= before]
    return sorted(waiting, key=lambda asset: (asset.verified or 0, asset.id))


def verify(catalog: Catalog, assets: Sequence[Asset], job: Job = QUIET) -> VerifyReport:
    """Read the files of `assets` from the disk and compare them with their hashes; each result is kept at once.

    Raises CancelledError when stopped; what was verified until then is kept.
    """
    started = time.monotonic()
    run = _Run(catalog, VerifyReport())
    readable = {asset.path: asset for asset in assets if run.is_readable(asset)}
    try:
        with closing(hash_many(readable, "full", job=job)) as answers:
            for path, found in answers:
                run.judge(readable[path], found)
    except CancelledError as error:
        done = plural(run.report.counts["ok"], "file")
        raise CancelledError(f"Stopped; {done} were read and are as hashed.", "Verify again to go on.") from error
    run.report.seconds = round(time.monotonic() - started, 3)
    return run.report


class _Run:
    """One verification: what comes of each asset goes into the catalog and the report."""

    def __init__(self, catalog: Catalog, report: VerifyReport) -> None:
        self.catalog, self.report = catalog, report

    def is_readable(self, asset: Asset) -> bool:
        """Whether the file is there as it was catalogued; memory is made to forget it, so that the disk is read."""
        try:
            stat = stat_of(asset.path)
        except FileError as error:
            self._say(asset, "missing" if isinstance(error, VanishedError) else "unreadable", error.message)
            return False
        if stat != asset.stat:
            self._say(asset, "changed", f"{asset.path} was written to since it was scanned; scan again.")
            return False
        with suppress(OSError, FileError):
            for path in members(asset.path):
                drop_cached(path)
        return True

    def judge(self, asset: Asset, found: Hashes | ModelhubError) -> None:
        """Compare what was read with the catalog, and keep the result there."""
        if isinstance(found, ModelhubError):
            self._say(asset, "unreadable", found.message)
            return
        self.report.bytes += asset.size
        problem = _rot(asset, found)
        with self.catalog.atomic():
            if not self._is_current(asset):
                self._say(asset, "changed", f"{asset.path} was changed or scanned anew meanwhile; verify again.")
                return
            if problem:
                self.catalog.set_problem(asset.id, ROT, problem)
                self._say(asset, "rot", problem)
                return
            self.catalog.set_hashes(asset.id, found)
            self.catalog.set_verified(asset.id, time.time())
        notes = tuple(_declared(asset, found))
        known = any(asset.hashes.values())
        self._say(asset, "ok" if known else "unhashed", "" if known else "It had no hash; it has one now.", notes)

    def _is_current(self, asset: Asset) -> bool:
        """Whether the file still is what was scanned, and the catalog says of it what it said at the beginning."""
        try:
            if stat_of(asset.path) != asset.stat:
                return False
        except FileError:
            return False
        now = self.catalog.assets([asset.id])
        return bool(now) and (now[0].stat, now[0].hashes, now[0].path) == (asset.stat, asset.hashes, asset.path)

    def _say(self, asset: Asset, status: str, message: str = "", notes: tuple[str, ...] = ()) -> None:
        self.report.verdicts.append(Verdict(asset, status, message, notes))


def _rot(asset: Asset, found: Hashes) -> str:
    """What is wrong with the bytes, as a sentence; "" when they are as they were."""
    for name, digest in found.as_dict().items():
        known = asset.hashes.get(name)
        if known and digest and known != digest:
            return (
                f"{asset.path} has other bytes than when it was hashed, though it was not written to: {name} was "
                f"{known} and is {digest}. Take it from a backup, or download it again."
            )
    if asset.problem is None and not any(asset.hashes.values()) and asset.format == "safetensors":
        try:
            read_any_header(asset.path)
        except ModelhubError as error:
            return f"{asset.path} could be read when it was scanned, and was not written to since: {error.message}"
    return ""


def _declared(asset: Asset, found: Hashes) -> Iterable[str]:
    """Where a hash that others wrote down differs from the computed one: worth a note, and no proof of anything."""
    computed = found.as_dict()
    hashes = asset.sidecar.get("hashes")
    for name, declared in (hashes if isinstance(hashes, dict) else {}).items():
        digest = computed.get(name)
        if digest and isinstance(declared, str) and not digest.startswith(declared.lower()):
            yield f"The {name} that a file beside it declares, {one_line(declared[:70])}, is not its own, {digest}."
    for name, declared in _embedded(asset):
        digits = declared.lower().removeprefix("0x")
        if found.autov3 and digits != EMPTY_SHA256 and not digits.startswith(found.autov3):
            said = one_line(declared[:70])
            yield f"The hash in its metadata ({name}), {said}, is not that of its data, {found.autov3}…"


def _embedded(asset: Asset) -> list[tuple[str, str]]:
    if asset.format != "safetensors":
        return []
    try:
        _, header = read_any_header(asset.path)
    except ModelhubError:
        return []
    return [(name, header.metadata[name]) for name in _EMBEDDED if header.metadata.get(name)]
