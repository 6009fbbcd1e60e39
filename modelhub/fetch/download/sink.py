"""Sink: takes bytes in the order of the file: to the part, to the digests, and in the background to the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from modelhub.errors import CorruptFileError, NoSpaceError, file_error
from modelhub.fetch.download.digests import Digests
from modelhub.fetch.download.part import Part
from modelhub.formats.closing import Closing
from modelhub.formats.hashes import Hashes
from modelhub.formats.syncing import Syncing
from modelhub.text import human_size

#: A block with less room than this is written: small pieces at its end would cost more than they save.
_LEAST = 128 << 10
#: Bytes that are always left free on a disk, and after how many more that is looked at again.
RESERVE = 64 << 20
_STEP = 64 << 20

#: Hears how many bytes were read back.
Count = Callable[[int], object]


class Sink(Closing):
    """The way into one part; `goal` is named in messages. All raise FileError for what the disk does not do.

    `position` is how many bytes of the file stand in the part and were given to the digests.
    """

    def __init__(self, part: Part, goal: Path) -> None:
        self._part, self._goal = part, goal
        self._filled = self._looked = self.position = 0
        self._start()

    @property
    def received(self) -> int:
        """Bytes that came, those among them that are not written yet."""
        return self.position + self._filled

    def room(self) -> memoryview:
        """Where the next bytes are to be put."""
        return self._block.view[self._filled :]

    def took(self, count: int) -> None:
        """So many bytes were put there."""
        self._filled += count

    def spill(self) -> None:
        """Write what came, if the block is as good as full."""
        if len(self._block.view) - self._filled < _LEAST:
            self.flush()

    def flush(self) -> None:
        """Write what came."""
        filled, self._filled = self._filled, 0
        if not filled:
            return
        try:
            self._part.write(self._block.view[:filled], self.position)
            self._syncing.wrote(filled)
        except OSError as error:
            raise file_error(error, self._goal) from error
        self._hash(filled)
        if self.position - self._looked >= _STEP:
            self._looked = self.position
            check_space(self._goal, 0)

    def catch_up(self, length: int, count: Count) -> None:
        """Give the digests the first `length` bytes of the part, and cut it there."""
        try:
            self._part.cut(length)
            while self.position < length:
                read = self._part.read(self.position, self._block.view[: length - self.position])
                if read == 0:
                    raise CorruptFileError(f"{self._part.path} became shorter while it was read.", "Try again.")
                self._hash(read)
                count(read)
        except OSError as error:
            raise file_error(error, self._goal) from error

    def rewind(self) -> None:
        """Begin the file anew: nothing stands in the part any more."""
        self.close()
        self._start()
        try:
            self._part.cut()
        except OSError as error:
            raise file_error(error, self._goal) from error

    def finish(self) -> Hashes:
        """The hashes, once the whole file is on the disk."""
        self.flush()
        try:
            self._syncing.finish()
        except OSError as error:
            raise file_error(error, self._goal) from error
        return self._digests.finish()

    def close(self) -> None:
        """End the threads; what was written stays."""
        self._digests.close()
        with suppress(OSError):
            self._syncing.close()

    def _start(self) -> None:
        self._digests, self._syncing = Digests(), Syncing(self._part.file, keep=True)
        self._block = self._digests.take()
        self._filled = self._looked = self.position = 0

    def _hash(self, size: int) -> None:
        self._digests.add(self._block, size)
        self.position += size
        self._block = self._digests.take()


def check_space(goal: Path, size: int) -> None:
    """Raise NoSpaceError if `size` more bytes would not leave `RESERVE` free on the disk of `goal`; FileError."""
    try:
        free = shutil.disk_usage(goal.parent).free
    except OSError as error:
        raise file_error(error, goal) from error
    if free < size + RESERVE:
        needs = f"needs {human_size(size)} more" if size else "has no room to grow"
        message = f"{goal} {needs}, and {human_size(free)} are free on its disk ({human_size(RESERVE)} stay free)."
        raise NoSpaceError(message, "Free some space, or choose another disk; then it goes on where it stopped.")
