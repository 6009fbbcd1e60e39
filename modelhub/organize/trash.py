"""Trash: assets go there with all that belongs to them, by rename, and come back with one `undo`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.jobs import QUIET, Job
from modelhub.organize.belongings import Belongings, belongings, freed
from modelhub.organize.carrying import Pair, carry
from modelhub.organize.entries import begin, explained, give_up, names, plain
from modelhub.organize.places import DISK_TRASH, Places


@dataclass(frozen=True, slots=True)
class TrashReport:
    """What went to the trash, or would: the assets, the files' old and new paths (new None in a dry run), the entry.

    `shared`: sidecars that stayed with another model. `freed`: bytes that emptying would free.
    """

    entry: int | None
    assets: list[Asset]
    files: list[tuple[Path, Path | None]]
    shared: list[Path] = field(default_factory=list)
    freed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "entry": self.entry,
            "assets": [{"id": a.id, "path": str(a.path), "size": a.size} for a in self.assets],
            "files": [{"path": str(old), "trash": str(new) if new else None} for old, new in self.files],
            "shared": [str(path) for path in self.shared],
            "freed": self.freed,
        }


def trash(catalog: Catalog, assets: Sequence[Asset], job: Job = QUIET, *, dry_run: bool = False) -> TrashReport:
    """Move assets, their sidecars and the further paths of their contents to the trash: all of them, or none.

    Raises VanishedError for a file that is missing, FileError for one that cannot be moved, CancelledError.
    """
    with explained(catalog.folder):
        kits = belongings(catalog, assets)
        files = [path for kit in kits for path in kit.paths]
        gain = freed(files)
    kept = [path for kit in kits for path in kit.shared]
    found = [kit.asset for kit in kits]
    if dry_run or not files:
        return TrashReport(None, found, [(path, None) for path in files], kept, gain)
    pairs = _plan(catalog, files)
    entry, details = _announce(catalog, kits, pairs, gain)
    with ExitStack() as undo:
        undo.callback(give_up, catalog, entry, pairs)
        _make_folders(pairs, undo)
        carry(pairs, undo, job, phase="moving to the trash")
        _settle(catalog, entry, details)
        undo.pop_all()
    return TrashReport(entry, found, list(pairs), kept, gain)


def _plan(catalog: Catalog, files: Sequence[Path]) -> list[Pair]:
    """Old and new paths: one folder per call in each trash, in it one per folder of origin, so that no names meet."""
    places, call = Places(catalog), f"{time.strftime('%Y-%m-%d')}-{secrets.token_hex(4)}"
    numbers: dict[Path, int] = {}
    return [
        (path, places.of(path.parent) / call / str(numbers.setdefault(path.parent, len(numbers) + 1)) / path.name)
        for path in files
    ]


def _announce(catalog: Catalog, kits: Sequence[Belongings], pairs: list[Pair], gain: int) -> tuple[int, dict[str, Any]]:
    """The entry of the journal, before anything moves."""
    to = dict(pairs)
    details: dict[str, Any] = {
        "state": "begun",
        "pairs": plain(pairs),
        "assets": [[kit.asset.id, str(kit.asset.path), str(to[kit.asset.path])] for kit in kits],
        "links": {path: kit.asset.id for kit in kits for path in kit.asset.links},
        "freed": gain,
    }
    summary = f"Moved {names([kit.asset.name for kit in kits])} to the trash"
    return begin(catalog, "rm", summary, details), details


def _make_folders(pairs: Sequence[Pair], undo: ExitStack) -> None:
    for folder in dict.fromkeys(new.parent for _, new in pairs):
        with explained(folder):
            folder.mkdir(parents=True)
        undo.callback(drop_folders, [folder])


def drop_folders(folders: Sequence[Path]) -> None:
    """Remove folders of the trash that are empty now, those of their calls, and an empty trash beside the models."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()
            if folder.parent.parent.name == DISK_TRASH:
                folder.parent.parent.rmdir()


def _settle(catalog: Catalog, entry: int, details: dict[str, Any]) -> None:
    """The rows follow their files."""
    with catalog.atomic():
        for number, _, new in details["assets"]:
            catalog.set_trashed(number, entry, Path(new))
        catalog.set_links({}, gone=details["links"])
        journal.update(catalog, entry, {**details, "state": "done"})
