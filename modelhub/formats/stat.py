"""What tells one content of a file from another without reading it: where it is, its size, when it was written."""

from __future__ import annotations

import os
from typing import NamedTuple

#: From here on, SQLite's signed 64 bits cannot hold an unsigned number.
HALF = 2**63


class FileStat(NamedTuple):
    """What tells one content of a file from another without reading it."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileStat:
        """From `os.stat`; `modified` is in nanoseconds. Device and inode are folded into SQLite's signed 64 bits."""
        return cls(signed(stat.st_dev), signed(stat.st_ino), stat.st_size, stat.st_mtime_ns)


def signed(number: int) -> int:
    """An unsigned number of 64 bits as the signed one of the same bits; one that is signed already stays."""
    return number if number < HALF else number - 2 * HALF
