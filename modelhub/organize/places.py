"""Where the trash is: on the file system of what goes into it, so that gigabytes are renamed and never copied."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modelhub.catalog.database import HOME_TRASH
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError
from modelhub.organize.renaming import probe, reaches
from modelhub.text import one_line

#: The trash on another file system than the catalog's: hidden, so that scans leave it out.
DISK_TRASH = ".modelhub-trash"


class Places:
    """The trash for each folder, found once."""

    def __init__(self, catalog: Catalog) -> None:
        self._home = catalog.trash
        self._roots = catalog.roots()
        self._found: dict[Path, Path] = {}

    def of(self, folder: Path) -> Path:
        """The trash that what lies in `folder` can be renamed to, made if need be. Raises FileError for none."""
        if folder not in self._found:
            self._found[folder] = self._find(folder)
        return self._found[folder]

    def _find(self, folder: Path) -> Path:
        with probe(folder) as file:
            for place in self._candidates(folder):
                if _is_usable(place, file):
                    return place
        raise FileError(
            f"There is no place for a trash on the file system of {one_line(str(folder))}.",
            "Make one of the folders above it writable, or delete the file yourself.",
        )

    def _candidates(self, folder: Path) -> Iterator[Path]:
        """The home folder's, then that of a scanned folder, then the first above that can be written, from the top."""
        yield self._home
        above = [path for path in (folder, *folder.parents) if _device(path) == _device(folder)]
        yield from (root / DISK_TRASH for root in self._roots if root in above)
        yield from (path / DISK_TRASH for path in reversed(above))


def _device(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_dev
    return None


def _is_usable(place: Path, file: Path) -> bool:
    """Whether `place` is a folder of this user, made if need be, that the probe can be renamed to."""
    new = not os.path.lexists(place)
    with suppress(OSError):
        if new:
            place.mkdir(mode=0o700, parents=place.name == HOME_TRASH)
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and reaches(file, place):
            return True
    if new:
        with suppress(OSError):
            place.rmdir()
    return False
