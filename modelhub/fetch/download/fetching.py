"""Fetching: one file from its provider to a verified part beside its goal; what earlier tries left is gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import file_error
from modelhub.fetch.download.going import Going
from modelhub.fetch.download.keeping import kept
from modelhub.fetch.download.part import Part, is_placed
from modelhub.fetch.download.place import Place
from modelhub.fetch.download.state import read_state
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.hashes import Hashes
from modelhub.formats.parts import sweep
from modelhub.jobs import QUIET, Advance, Job


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file at `part`, on the disk, proven as far as it can be; `notes` say what could not be proven.

    `size` is in bytes, `hashes` are SHA256, BLAKE3, CRC32 and AutoV2. `name` is what the server called it, as it said
    it, None if it did not. `resumed` of its bytes were there from an earlier try.
    """

    part: Path
    size: int
    hashes: Hashes
    name: str | None
    notes: tuple[str, ...] = ()
    resumed: int = 0


def _nobody(n: int = 1, item: str = "", picture: object = None, *, kept: bool = False) -> None:
    """An advance that nobody looks at."""


@contextmanager
def fetched(
    file: RemoteFile,
    goal: Path,
    provider: str,
    net: Net,
    job: Job = QUIET,
    advance: Advance = _nobody,
    again: Callable[[], RemoteFile] | None = None,
    *,
    wait: bool = False,
) -> Iterator[Fetched]:
    """Download `file` to a hidden part beside `goal`, and yield it whole, verified, on the disk, still locked.

    In the block the caller moves the part to where it shall be; at its end the part is gone. An error in the block,
    a broken line, a cancelled job or a death of the process leave the part and its state for the next try. `advance`
    hears of every byte, of those that are there already while they are read back, and of a negative number when the
    file has to be begun anew. `again` asks the provider for the address of the file once more, where it is no longer
    taken. `wait`: until another process is done with the same file, instead of an error.

    Raises WrongBytesError (nothing of it is kept), LoginNeededError and what else a provider means by its refusal,
    UnreachableError after several tries without any progress, NoSpaceError, FileError, CancelledError.
    """
    made = _made_folders(goal.parent)
    sweep(goal.parent)
    try:
        with Part(Place.of(file, goal), goal, wait=wait, job=job) as part:
            is_done = False
            try:
                with Going(file, goal, provider, net, part, job, advance, again) as going:
                    hashes, notes = going.run()
                    found = Fetched(part.path, part.length, hashes, going.served, notes, going.resumed)
                yield found
                is_done = True
            finally:
                if is_done or not part.length:
                    part.remove()
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty, as a rule
                folder.rmdir()


def already(file: RemoteFile, goal: Path) -> int:
    """The bytes of `file` that earlier tries left beside `goal` and that the next one would go on from."""
    place = Place.of(file, goal)
    try:
        found = os.lstat(place.part)
    except OSError:
        return 0
    return 0 if is_placed(found) else kept(file, found.st_size, read_state(place.state))


def discard(file: RemoteFile, goal: Path) -> None:
    """Remove what earlier tries to get `file` left beside `goal`. Raises FileError while one is under way."""
    place = Place.of(file, goal)
    if os.path.lexists(place.part):
        with Part(place, goal) as part:
            part.remove()
    else:
        with suppress(OSError):
            place.state.unlink()


def _made_folders(folder: Path) -> list[Path]:
    """Make a folder; returns it and those above it that were not there either, the lowest first. Raises FileError."""
    missing = []
    above = folder
    while not above.exists() and above != above.parent:
        missing.append(above)
        above = above.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder) from error
    return missing
