"""Renaming within a file system, never onto a path that is taken, and the probe that tells how far a rename goes."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelhub.errors import file_error


def rename(old: Path, new: Path) -> None:
    """Give a file, link or folder another path of its file system; raises OSError, also when that path is taken.

    A hard link and the rename of a folder onto an empty one refuse to replace, where a plain rename would not.
    """
    if stat.S_ISDIR(os.lstat(old).st_mode):
        new.mkdir()
        try:
            old.rename(new)
        except OSError:
            new.rmdir()
            raise
        return
    try:
        os.link(old, new, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, or files of others, which may not be linked
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        old.rename(new)
        return
    try:
        old.unlink()
    except OSError:
        new.unlink()
        raise


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all in it; links are not followed. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def probe(folder: Path) -> Iterator[Path]:
    """An empty hidden file in `folder`: it shows whether names in there may change. Raises FileError if not."""
    path = folder / f".{secrets.token_hex(8)}.probe"
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise file_error(error, folder) from error
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def reaches(probe: Path, folder: Path) -> bool:
    """Whether a rename goes from where `probe` lies to `folder`; False between file systems. Raises OSError.

    Tried and not computed: bind mounts and subvolumes have one device number and do not let renames through.
    """
    there = folder / probe.name
    try:
        probe.rename(there)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    there.rename(probe)
    return True
