"""The tree of folders that hold assets, below those that are scanned, with what lies in each and below it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class FolderTree:
    """`counts`: assets in a folder and below it; `inside`: the folders in a folder, by name.

    No path ends in a separator but that of the system's root.
    """

    roots: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    inside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.roots)


def folder_tree(roots: Iterable[str], own: Mapping[str, int]) -> FolderTree:
    """The tree of `roots`, and of what lies below none of them, from the number of assets that each folder holds."""
    tops = _topmost(roots)
    counts: dict[str, int] = defaultdict(int, dict.fromkeys(tops, 0))
    inside: dict[str, set[str]] = defaultdict(set)
    known = set(tops)
    others: list[tuple[str, int]] = []
    for path, number in own.items():
        folder = _bare(path)
        if not _climb(folder, number, known, counts, inside):
            others.append((folder, number))
    more = set(_topmost(folder for folder, _ in others))
    for folder, number in others:
        _climb(folder, number, more, counts, inside)
    ordered = {folder: tuple(sorted(names, key=str.casefold)) for folder, names in inside.items()}
    return FolderTree((*tops, *sorted(more)), dict(counts), ordered)


def _climb(folder: str, number: int, tops: set[str], counts: dict[str, int], inside: dict[str, set[str]]) -> bool:
    """Count in a folder and in all above it up to a top; False, and nothing is counted, if there is none above."""
    way = [folder]
    while way[-1] not in tops:
        above = os.path.dirname(way[-1])  # noqa: PTH120 (thousands of folders; a Path costs ten times as much)
        if above == way[-1] or not above:
            return False
        way.append(above)
    for one in way:
        counts[one] += number
    for below, above in pairwise(way):
        inside[above].add(below)
    return True


def _topmost(folders: Iterable[str]) -> list[str]:
    """Those that lie below no other of them, in order."""
    found: list[str] = []
    for folder in sorted(set(map(_bare, folders)), key=lambda path: (path.count(os.sep), path)):
        if not any(folder.startswith(os.path.join(top, "")) for top in found):  # noqa: PTH118
            found.append(folder)
    return sorted(found)


def _bare(path: str) -> str:
    return path.rstrip(os.sep) or path[:1]
