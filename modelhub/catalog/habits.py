"""Habits: the folder in which the user keeps most files of a kind and architecture, as the catalog has them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from modelhub.catalog.database import CatalogFile

#: Fewer files make no habit.
_FEWEST = 2
#: Of all files of the kind and architecture, more than this share lies in the folder …
_MOST = 0.5
#: … and of the files of the kind in it, this share is of the architecture.
_PURE = 0.75

#: A folder and an architecture, to how many files of it lie there.
_Kept = dict[tuple[Path, str | None], int]


def usual_folder(catalog: CatalogFile, kind: str, architecture: str, within: Sequence[Path]) -> Path | None:
    """The deepest folder within others that holds most files of a kind and architecture; None where there is no habit.

    One below those of `within` counts only if it is for that architecture.
    """
    kept = _within(_kept(catalog, kind), within)
    wanted = {one: count for one, count in kept.items() if one[1] == architecture}
    inside, every = _counted(wanted, within), _counted(kept, within)
    return _deepest(wanted, inside, lambda one: one in within or inside[one] >= _PURE * every[one])


def usual_folder_of_kind(catalog: CatalogFile, kind: str, architecture: str | None, within: Path) -> Path | None:
    """The deepest folder within another that holds most files of a kind; None where there is no habit.

    One that is for another architecture counts only if there is no file of the kind elsewhere.
    """
    kept = _within(_kept(catalog, kind), [within])
    every = _counted(kept, [within])
    others = {one[1] for one in kept} - {architecture}
    by_other = [_counted({one: n for one, n in kept.items() if one[1] == other}, [within]) for other in others]
    total = sum(kept.values())
    return _deepest(kept, every, lambda one: every[one] == total or all(n[one] < _PURE * every[one] for n in by_other))


def _deepest(wanted: _Kept, inside: Counter[Path], fits: Callable[[Path], bool]) -> Path | None:
    """The deepest folder with most of the files `wanted`, of which it has so many `inside`, that fits."""
    most = max(_FEWEST - 1, _MOST * sum(wanted.values()))
    found = [folder for folder, count in inside.items() if count > most and fits(folder)]
    return max(found, key=lambda folder: (len(folder.parts), inside[folder]), default=None)


def _within(kept: _Kept, within: Sequence[Path]) -> _Kept:
    return {one: count for one, count in kept.items() if _base(one[0], within) is not None}


def _kept(catalog: CatalogFile, kind: str) -> _Kept:
    """How many files of a kind lie where; of a diffusers folder, where the folder lies."""
    sql = "SELECT path, architecture FROM assets WHERE kind = ? AND missing = 0 AND trashed IS NULL"
    rows = Counter((os.path.dirname(path), found) for path, found in catalog.rows(sql, [kind]))  # noqa: PTH120
    return {(Path(folder), found): count for (folder, found), count in rows.items()}


def _base(folder: Path, within: Sequence[Path]) -> Path | None:
    """The folder of `within` that `folder` is or lies in, the nearest."""
    above = [base for base in within if folder == base or base in folder.parents]
    return max(above, key=lambda base: len(base.parts), default=None)


def _counted(kept: _Kept, within: Sequence[Path]) -> Counter[Path]:
    """How many files lie in each folder or below, from the folders of `within` down."""
    counts: Counter[Path] = Counter()
    for (folder, _), count in kept.items():
        base = _base(folder, within)
        for one in (folder, *folder.parents):
            counts[one] += count
            if one == base:
                break
    return counts
