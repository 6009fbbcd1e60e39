"""Space: what downloads need on each disk beside what is there already, told before the first byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import NoSpaceError, file_error
from modelhub.fetch.download.sink import RESERVE
from modelhub.text import human_size, one_line


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system: a folder of it, and in bytes what downloads still need of it, and what is free."""

    folder: Path
    needed: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether there is room, and what the download itself leaves free on every disk."""
        return self.needed == 0 or self.needed + RESERVE <= self.free

    @property
    def words(self) -> str:
        """What comes to it, and what then is left, in words."""
        room = f"{human_size(self.free)} free, {human_size(max(self.free - self.needed, 0))} after it"
        if not self.fits:
            room = f"only {human_size(self.free)} free: not enough"
        return f"{one_line(str(self.folder))}: {human_size(self.needed)} to come, {room}"

    def check(self) -> None:
        """Raise NoSpaceError if there is no room."""
        if not self.fits:
            raise NoSpaceError(
                f"{self.folder} has {human_size(self.free)} free, and what is to come needs "
                f"{human_size(self.needed)}; {human_size(RESERVE)} stay free.",
                "Free some space, or fetch to another disk with `--to DIR`.",
            )


def disks(wanted: Iterable[tuple[Path, int]]) -> list[Disk]:
    """What is needed on each file system, from goals and the bytes that are still to come there. Raises FileError."""
    needed: dict[int, tuple[Path, int]] = {}
    for goal, size in wanted:
        folder = existing(goal.parent)
        try:
            device = folder.stat().st_dev
        except OSError as error:
            raise file_error(error, folder) from error
        first, before = needed.get(device, (folder, 0))
        needed[device] = first, before + size
    return [Disk(folder, size, _free(folder)) for folder, size in needed.values()]


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists: what is made below it comes to the same file system."""
    return next((one for one in (folder, *folder.parents) if os.path.isdir(one)), folder)  # noqa: PTH112


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise file_error(error, folder) from error
