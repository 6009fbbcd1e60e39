"""A job that ends when a file changes under it: what is written from two states of a file would be neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from modelhub.errors import CorruptFileError, file_error
from modelhub.formats.stat import FileStat
from modelhub.jobs import Job


def stats_of(files: Iterable[Path]) -> dict[Path, FileStat]:
    """How each file is now, links followed. Raises FileError."""
    return {path: _stat(path) for path in files}


def watched(job: Job, stats: Mapping[Path, FileStat]) -> Job:
    """`job`, which also ends with CorruptFileError at the next step after one of the files is no more as in `stats`.

    It is looked at as often as progress is shown, and at every `check`. The writer makes one between its last byte and
    the rename, so nothing half-true is left behind.
    """
    return _Watched(job, stats) if stats else job


def counted(job: Job, number: int, total: int) -> Job:
    """`job`, whose events say that they are of file `number` of `total`."""
    return _Part(job, f" {number} of {total}" if total > 1 else "")


class _Part(Job):
    """A stretch of another job: it is cancelled with it, and reports to it."""

    def __init__(self, job: Job, label: str = "") -> None:
        super().__init__(
            job.name, lambda event: job._emit(event._replace(phase=event.phase + label)), interval=job._interval
        )
        self._job = job

    @property
    def cancelled(self) -> bool:
        return self._job.cancelled

    def cancel(self) -> None:
        self._job.cancel()

    def check(self) -> None:
        self._job.check()


class _Watched(_Part):
    def __init__(self, job: Job, stats: Mapping[Path, FileStat]) -> None:
        super().__init__(job)
        self._stats = stats

    def check(self) -> None:
        super().check()
        for path, before in self._stats.items():
            if _stat(path) != before:
                raise CorruptFileError(f"{path} was written to while it was read.", "Wait until that is over.")


def _stat(path: Path) -> FileStat:
    try:
        return FileStat.of(path.stat())
    except OSError as error:
        raise file_error(error, path) from error
