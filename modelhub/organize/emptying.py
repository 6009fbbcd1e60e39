"""What is in the trash, and emptying it: the one place where files of the user are deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.catalog import journal
from modelhub.catalog.database import HOME_TRASH
from modelhub.catalog.journal import Entry
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, NotFoundError, UsageError, file_error
from modelhub.jobs import QUIET, Job
from modelhub.organize.belongings import freed
from modelhub.organize.entries import pairs_of
from modelhub.organize.places import DISK_TRASH
from modelhub.organize.renaming import remove
from modelhub.organize.trash import drop_folders
from modelhub.text import one_line


@dataclass(frozen=True, slots=True)
class Trashed:
    """One call of `rm` in the trash: when, the assets' old paths by id, all files by where they lie now.

    `freed` are the bytes that deleting them would free, `complete` is False for what a killed process left half-way.
    """

    entry: int
    at: float
    assets: dict[int, Path]
    files: list[Path]
    freed: int
    complete: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "entry": self.entry,
            "at": self.at,
            "assets": [{"id": number, "path": str(path)} for number, path in self.assets.items()],
            "files": [str(path) for path in self.files],
            "freed": self.freed,
            "complete": self.complete,
        }


def contents(catalog: Catalog) -> list[Trashed]:
    """What is in the trash, the newest first."""
    found = journal.entries(catalog, limit=-1)
    return [_trashed(entry) for entry in found if entry.action == "rm" and entry.undone is None]


def _trashed(entry: Entry) -> Trashed:
    details = entry.details
    files = [new for _, new in pairs_of(details) if os.path.lexists(new)]
    assets = {number: Path(old) for number, old, _ in details["assets"]}
    return Trashed(entry.id, entry.at, assets, files, freed(files), details["state"] == "done")


def select(
    catalog: Catalog, entries: Iterable[int] | None = None, *, older_than_days: float | None = None
) -> list[Trashed]:
    """What of the trash an `empty` with these words would delete. Raises UsageError for an entry that is not there.

    What a killed process left half-way is not deleted: it is to be undone first.
    """
    found = contents(catalog)
    wanted = None if entries is None else set(entries)
    if wanted is not None and wanted - {one.entry for one in found}:
        raise UsageError(
            f"Entry {min(wanted - {one.entry for one in found})} is not in the trash.",
            "`modelhub trash` lists what is there.",
        )
    before = time.time() - (older_than_days or 0) * 86400
    return [one for one in found if one.complete and one.at <= before and (wanted is None or one.entry in wanted)]


def empty(catalog: Catalog, what: Iterable[Trashed], job: Job = QUIET) -> int:
    """Delete for good what `select` gave: files, rows, entries; returns the bytes freed. Raises FileError.

    Only what lies in a folder of the trash by the journal's word is deleted, and no link is followed.
    """
    gained = 0
    found = list(what)
    with job.phase("emptying the trash", sum(len(one.files) for one in found), "files") as advance:
        for one in found:
            for path in one.files:
                advance(0, path.name)
                _delete(path)
                advance(1)
            drop_folders(list(dict.fromkeys(path.parent for path in one.files)))
            gained += one.freed if _settle(catalog, one) else 0
    return gained


def _settle(catalog: Catalog, one: Trashed) -> bool:
    """Rows and entry go; False if another process has brought the files back meanwhile, or was quicker."""
    with catalog.atomic(), suppress(NotFoundError):
        if journal.get(catalog, one.entry).undone is not None:
            return False
        catalog.remove(asset.id for asset in catalog.in_trash() if asset.id in one.assets)
        journal.forget(catalog, one.entry)
        return True
    return False


def _delete(path: Path) -> None:
    folder = path.parent
    top = folder.parent.parent
    if top.name not in (HOME_TRASH, DISK_TRASH) or folder.resolve() != top.resolve() / folder.relative_to(top):
        raise FileError(
            f"{one_line(str(path))} does not lie in a folder of the trash; it was not deleted.",
            "Look at it, and delete it yourself if you want to.",
        )
    try:
        remove(path)
    except FileNotFoundError:
        pass  # another process was quicker
    except OSError as error:
        raise file_error(error, path) from error
