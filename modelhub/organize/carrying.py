"""Carrying: files, links and folders to another path, never onto one that is taken, and all of them or none.

On one file system that is a rename; between two it is a copy that is synced and checked before the source may go.
"""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from modelhub.errors import FileExistsAlreadyError, VanishedError, file_error
from modelhub.jobs import Job
from modelhub.organize.copying import copy
from modelhub.organize.renaming import remove, rename
from modelhub.text import one_line

Pair = tuple[Path, Path]


def carry(
    pairs: Sequence[Pair], undo: ExitStack, job: Job, *, phase: str, known: Mapping[Path, str] | None = None
) -> list[Path]:
    """Bring every file to its new path; returns the sources of those that were copied, to be removed at the end.

    What `undo` is given brings everything back. `known`: SHA256 of sources, which copies are checked against. Raises
    FileError, CancelledError.
    """
    copied: list[Path] = []
    with job.phase(phase, len(pairs), "files") as advance:
        for old, new in pairs:
            advance(0, old.name)
            try:
                if not _carry(old, new, undo, job, (known or {}).get(old)):
                    copied.append(old)
            except FileExistsError as error:
                raise taken(new) from error
            except OSError as error:
                raise file_error(error, old if not os.path.lexists(old) else error.filename2 or old) from error
            advance(1)
    return copied


def taken(path: Path) -> FileExistsAlreadyError:
    """The error for a path that something else has."""
    return FileExistsAlreadyError(
        f"{one_line(str(path))} exists already; nothing was moved.", "Rename or move what is there, and try again."
    )


def _carry(old: Path, new: Path, undo: ExitStack, job: Job, sha256: str | None) -> bool:
    """Whether the source is gone: False after a copy."""
    target = _relative_target(old)
    if target is not None and old.parent != new.parent:
        new.symlink_to(os.path.relpath(old.parent.resolve() / target, new.parent.resolve()))
        undo.callback(new.unlink)
        old.unlink()
        undo.callback(old.symlink_to, target)
        return True
    try:
        rename(old, new)
        undo.callback(rename, new, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy(old, new, job, sha256)
        undo.callback(remove, new)
        return False
    return True


def _relative_target(path: Path) -> str | None:
    """Where a link points, if that depends on where the link lies."""
    target = str(path.readlink()) if path.is_symlink() else None
    return None if target is None or os.path.isabs(target) else target  # noqa: PTH117


def back(pairs: Sequence[Pair], *, copies: bool = False) -> tuple[list[Pair], list[Path]]:
    """What must be done to have every file at its old path again: pairs to carry, and second names to remove.

    Holds for what a killed process left, too. `copies`: the new file may be a copy of the old one. Nothing is changed.
    Raises FileExistsAlreadyError for an old path that something else has, VanishedError for a file that is nowhere.
    """
    todo: list[Pair] = []
    twice: list[Path] = []
    for old, new in pairs:
        here, there = os.path.lexists(old), os.path.lexists(new)
        if here and there and not _is_same(old, new, copies):
            raise FileExistsAlreadyError(
                f"{one_line(str(old))} is in the way: something else has come to that path. Nothing was undone.",
                "Move it away, and undo again.",
            )
        if not here and not there:
            raise VanishedError(
                f"{one_line(str(new))} is gone, and so nothing was undone.",
                "If it was moved on, undo that first, or bring it back there.",
            )
        if there:
            twice += [new] if here else []
            todo += [] if here else [(new, old)]
    return todo, twice


def _is_same(old: Path, new: Path, copies: bool) -> bool:
    if old.is_symlink() and new.is_symlink():
        return os.path.realpath(old) == os.path.realpath(new)
    if old.is_dir() and new.is_dir() and not new.is_symlink() and not os.listdir(new):  # noqa: PTH208
        return True  # made for a folder that a killed process did not get to rename
    a, b = os.lstat(old), os.lstat(new)
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) or (copies and same_content(old, new))


def same_content(one: Path, other: Path) -> bool:
    """Whether two files, links or folders hold the same bytes; reads them if their sizes are equal."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if one.is_dir() and other.is_dir():
        names = sorted(os.listdir(one))  # noqa: PTH208
        return names == sorted(os.listdir(other)) and all(same_content(one / n, other / n) for n in names)  # noqa: PTH208
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
