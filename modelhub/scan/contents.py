"""Contents: every file once, whatever names lead to it; of several the one that the catalog knows stands for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache

from modelhub.catalog.reading import FileRow
from modelhub.formats.stat import FileStat
from modelhub.formats.walk import Found

Place = tuple[int, int]


class Contents:
    """What a walk found, by content.

    `standing`: path to state of each content, under the path that stands for it. `aliases`: further path of a content
    to the path that stands for it. `doubles`: the same for paths that are that file itself, by way of another folder.
    """

    def __init__(self, walk: Iterable[Found], before: Mapping[str, FileRow]) -> None:
        self.standing: dict[str, Found] = {}
        self.aliases: dict[str, str] = {}
        self.doubles: dict[str, str] = {}
        self._before = before
        self._first: dict[Place, Found] = {}
        self._others: dict[Place, list[Found]] = {}
        _real.cache_clear()  # folders may lead elsewhere since the last scan
        for found in walk:
            if self._first.setdefault((found.device, found.inode), found) is not found:
                self._others.setdefault((found.device, found.inode), []).append(found)
        self._add_rows()
        self._choose()

    def _add_rows(self) -> None:
        """Rows at paths that the walk did not take: through another folder, or below one that is not scanned now."""
        walked = {found.path for found in self._first.values()}
        walked.update(found.path for others in self._others.values() for found in others)
        for path in self._before.keys() - walked:
            row = self._before[path]
            first = self._first.get((row.device, row.inode))
            if first is not None and leads_to(path, (row.device, row.inode)):
                stamp = first.sidecars if _is_one_entry(path, first.path) else row.sidecars
                found = first._replace(path=path, link=os.path.islink(path), sidecars=stamp)  # noqa: PTH114 (never raises)
                self._others.setdefault((row.device, row.inode), []).append(found)

    def _choose(self) -> None:
        for place, first in self._first.items():
            others = self._others.get(place)
            best = first if others is None else self._best(first, others)
            self.standing[best.path] = best

    def _best(self, first: Found, others: list[Found]) -> Found:
        """A path that the catalog knows, else a real file; the rest are links to it."""
        best = min((first, *others), key=lambda found: (found.path not in self._before, found.link))
        for found in (first, *others):
            if found is not best:
                kind = self.doubles if _is_one_entry(found.path, best.path) else self.aliases
                kind[found.path] = best.path
        return best


def leads_to(path: str, place: Place) -> bool:
    """Whether the file at `path`, links followed, has this device and inode."""
    try:
        stat = FileStat.of(os.stat(path))  # noqa: PTH116 (thousands in a scan)
    except OSError:
        return False
    return (stat.device, stat.inode) == place


def _is_one_entry(one: str, other: str) -> bool:
    """Whether both paths are the same name in the same folder, whatever links lead to that."""
    (folder, name), (folder_of_other, name_of_other) = os.path.split(one), os.path.split(other)
    return name == name_of_other and _real(folder) == _real(folder_of_other)


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
