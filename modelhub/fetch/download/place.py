"""Place: under what names the beginning of a download lies beside its goal, so that the next try finds it.

The name depends on the content alone: its SHA256, or else the address. All names are hidden, so that no scan sees them,
and none is one that `formats.parts` takes for the leavings of a dead process.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from modelhub.fetch.download.state import State, read_state
from modelhub.fetch.net.endpoints import through_endpoint
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.offer import RemoteFile

_NAME = re.compile(r"\.get-[0-9a-f]{24}\.part")


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of one download under way: the bytes, what is known of them, the lock where flock does not work."""

    part: Path

    @classmethod
    def of(cls, file: RemoteFile, goal: Path) -> Place:
        """Where `file` grows before it comes to `goal`."""
        what = file.hashes.get("sha256") or redacted(through_endpoint(file.url))
        key = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return cls(goal.with_name(f".get-{key}.part"))

    @property
    def state(self) -> Path:
        """A small JSON file."""
        return self.part.with_name(f"{self.part.name}.json")

    @property
    def claim(self) -> Path:
        """The lock file."""
        return self.part.with_name(f"{self.part.name}.lock")


@dataclass(frozen=True, slots=True)
class Left:
    """The beginning of a download that nobody may be at: `size` bytes are there, the last of them came at `modified`.

    `modified` is in seconds since 1970. `state` is None where it is lost.
    """

    place: Place
    size: int
    modified: float
    state: State | None


def left(folder: Path) -> list[Left]:
    """The beginnings of downloads in `folder`, those under way among them; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.stat()) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    places = [(Place(path), stat) for path, stat in sorted(found, key=lambda one: one[0])]
    return [Left(place, stat.st_size, stat.st_mtime, read_state(place.state)) for place, stat in places]
