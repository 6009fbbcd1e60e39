"""Copying between file systems: under a temporary name, synced, checked, and only then under the right name."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, file_error
from modelhub.formats.hashes import hash_file
from modelhub.formats.lanes import drop_cached
from modelhub.formats.stat import FileStat
from modelhub.formats.writer import replacing, write_all
from modelhub.jobs import Job
from modelhub.organize.renaming import rename
from modelhub.text import one_line

_BLOCK = 4 << 20


def copy(old: Path, new: Path, job: Job, sha256: str | None = None) -> None:
    """Copy a file, a link or a folder to a path that is free, with its times and permissions.

    The bytes read must have the SHA256 that is known, or else the copy is read again and compared. Raises FileError;
    nothing is left at `new` then.
    """
    try:
        mode = os.lstat(old).st_mode
        if stat.S_ISLNK(mode):
            new.symlink_to(old.readlink())
        elif stat.S_ISDIR(mode):
            _copy_folder(old, new, job)
        elif stat.S_ISREG(mode):
            _copy_file(old, new, job, sha256)
        else:
            raise FileError(f"{one_line(str(old))} is a device or a pipe.", "Only files and folders can be moved.")
    except OSError as error:
        raise file_error(error, error.filename or old) from error


def _copy_file(old: Path, new: Path, job: Job, sha256: str | None) -> None:
    before = FileStat.of(old.stat())
    made = hashlib.sha256()
    with (
        job.phase("copying", before.size, "bytes") as advance,
        old.open("rb", buffering=0) as source,
        replacing(new, job=job) as file,
    ):
        while block := source.read(_BLOCK):
            made.update(block)
            write_all(file, block)
            advance(len(block), old.name)
        os.fsync(file.fileno())
        _check(old, Path(file.name), made.hexdigest(), sha256, job)
        shutil.copystat(old, file.name)
        if FileStat.of(old.stat()) != before:
            raise FileError(f"{one_line(str(old))} changed while it was copied.", "Try again when it is complete.")


def _check(old: Path, part: Path, read: str, known: str | None, job: Job) -> None:
    if known is not None and read != known:
        raise CorruptFileError(
            f"{one_line(str(old))} is not what it was when it was hashed: its SHA256 is {read}, and was {known}.",
            "The disk may be failing: compare with a backup. The file was left where it is.",
        )
    if known is not None:
        return
    drop_cached(part)  # from the disk, not from memory
    if hash_file(part, "fast", job).sha256 != read:
        raise CorruptFileError(
            f"The copy of {one_line(str(old))} reads back with other bytes.", "Check the disk that it was copied to."
        )


def _copy_folder(old: Path, new: Path, job: Job) -> None:
    """Every file into a hidden folder beside the goal, which takes its name when it is whole."""
    part = new.with_name(f".{new.name[:40]}.{secrets.token_hex(6)}.part")
    part.mkdir()
    try:
        _fill(old, part, job)
        rename(part, new)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(old: Path, part: Path, job: Job) -> None:
    for entry in sorted(os.scandir(old), key=lambda entry: entry.name):
        goal = part / entry.name
        if entry.is_dir(follow_symlinks=False):
            goal.mkdir()
            _fill(Path(entry.path), goal, job)
        else:
            copy(Path(entry.path), goal, job)
    shutil.copystat(old, part)
