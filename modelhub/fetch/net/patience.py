"""Patience: how long a server is waited for, how often it is asked again, and the waiting, which can be stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from modelhub.jobs import Job

#: Seconds between two looks at whether the job was cancelled.
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds and counts.

    `connect` and `read`: how long to wait for a connection, and for the next bytes of an answer. `tries`: how often to
    ask a server that answers with trouble or breaks off, `knocks` one that cannot be reached at all. `first`: the wait
    before the second try, doubled for each further one up to `most`. `longest`: a wait that a server asks for and that
    is longer than this is an error.
    """

    connect: float = 10.0
    read: float = 30.0
    tries: int = 5
    knocks: int = 3
    first: float = 1.0
    most: float = 30.0
    longest: float = 300.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row, if the server says nothing else."""
        return min(self.first * 2.0 ** min(failures - 1, 32), self.most)


def seconds_of(retry_after: str | None, now: float | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, given as a number or as a date; None where it says nothing."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        return _until(retry_after, time.time() if now is None else now)
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def wait(seconds: float, job: Job) -> None:
    """Sleep, and raise CancelledError soon after the job was cancelled."""
    end = time.monotonic() + seconds
    job.check()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK))
        job.check()
