"""Jobs: operations report what they do as events and stop when asked; interfaces decide how that looks.

An operation takes `job: Job = QUIET`. It opens phases, advances them and never prints:

    with job.phase("hashing", total=size, unit="bytes") as advance:
        advance(len(block), item="model.safetensors")

`advance` raises `CancelledError` once `job.cancel()` was called, from whatever thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from modelhub.errors import CancelledError

#: Seconds that the speed is measured over: long enough to be calm, short enough to follow a line that gets slower.
_WINDOW = 20.0
#: Seconds between two notes of how much was done.
_NOTED = 0.25


class Event(NamedTuple):
    """What a job has to say at one moment.

    `done` and `total` count `unit`s ("bytes", "files", "steps"; total None = not known); `kept` of those done were
    there before, so they say nothing about the speed. `level` is "progress" for the moving bar, else "info" or
    "warning" with the sentence in `item`. `picture` is an image a live preview may show; events are equal whatever
    their pictures, for arrays do not compare to one answer.
    """

    job: str
    phase: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    item: str = ""
    level: str = "progress"
    kept: int = 0
    picture: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:-1])


Sink = Callable[[Event], None]


class Advance(Protocol):
    """What `Job.phase` yields: count `n` units further, name the item at hand, hand over a picture.

    `kept` says that these units were there before, and cost next to nothing.
    """

    def __call__(self, n: int = 1, item: str = "", picture: Any = None, *, kept: bool = False) -> None: ...


class Job:
    """One running operation: where its events go, and whether it should stop.

    Progress events are limited to one per `interval` seconds; the first, the last and every picture always pass.
    """

    def __init__(self, name: str, sink: Sink | None = None, *, interval: float = 0.05) -> None:
        self.name = name
        self._sink = sink
        self._interval = interval
        self._stop = threading.Event()
        self._phase = ""

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Ask the operation to stop at its next `check` or `advance`; safe from any thread and from signal handlers."""
        self._stop.set()

    def check(self) -> None:
        """Raise `CancelledError` if the job was cancelled."""
        if self._stop.is_set():
            raise CancelledError

    def say(self, message: str, level: str = "info") -> None:
        """Report a sentence: level "info" or "warning"."""
        self._emit(Event(self.name, self._phase, item=message, level=level))

    def part(self, label: str) -> Job:
        """The job of one part of many: it stops with this one, and `label` stands before the names of its phases."""
        inner = Job(self.name, lambda event: self._emit(event._replace(phase=f"{label} {event.phase}".strip())))
        inner._stop, inner._interval = self._stop, self._interval
        return inner

    def relay(self, event: Event) -> None:
        """Report what a job elsewhere reported: in another process."""
        self._emit(event)

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Counter]:
        """A stretch of work of `total` units; yields the function that counts them."""
        self.check()
        outer, self._phase = self._phase, name
        progress = Counter(self, name, total, unit)
        progress.show()
        try:
            yield progress
        finally:
            self._phase = outer
        progress.show()

    def _emit(self, event: Event) -> None:
        if self._sink is not None:
            self._sink(event)


class Counter:
    """The counter of one phase; callable from several threads."""

    def __init__(self, job: Job, phase: str, total: int | None, unit: str) -> None:
        self._job, self._phase, self._total, self._unit = job, phase, total, unit
        self._done = self._kept = 0
        self._item = ""
        self._last = 0.0
        self._lock = threading.Lock()

    def __call__(self, n: int = 1, item: str = "", picture: Any = None, *, kept: bool = False) -> None:
        if self._job.cancelled:
            self._job.check()
        with self._lock:
            self._done += n
            self._kept += n if kept else 0
            self._item = item or self._item
            now = time.monotonic()
            due = picture is not None or now - self._last >= self._job._interval
            if due:
                self._last = now
        if due:
            self._job.check()  # what takes longer to find out than whether it was cancelled
            self.show(picture)

    def grow(self, n: int | None) -> None:
        """There are `n` units more than was known, or fewer; None: nobody knows how many there are."""
        with self._lock:
            self._total = None if n is None or self._total is None else self._total + n

    def show(self, picture: Any = None) -> None:
        """Report how far it is."""
        job = self._job
        amounts = (self._done, self._total, self._unit)
        job._emit(Event(job.name, self._phase, *amounts, self._item, kept=self._kept, picture=picture))


class Pace:
    """How fast work went lately, from how much was done at which times."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, int]] = deque()

    def rate(self, done: int, now: float) -> float | None:
        """Units a second over the last 20 s, now that `done` are done; None in the first second."""
        notes = self._notes
        if not notes or now - notes[-1][0] >= _NOTED:
            notes.append((now, done))
        while len(notes) > 1 and now - notes[1][0] >= _WINDOW:
            notes.popleft()
        then, before = notes[0]
        return max(done - before, 0) / (now - then) if now - then >= 1 else None


class _Quiet(Job):
    """The job of callers that do not care: says nothing, and cannot be cancelled because they all share it."""

    def part(self, label: str) -> Job:
        return self

    def cancel(self) -> None:
        raise RuntimeError("QUIET is shared by all callers; make a Job to cancel")


QUIET: Job = _Quiet("quiet")
