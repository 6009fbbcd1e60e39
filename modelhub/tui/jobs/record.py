"""A job of the interface: what it is called, where it stands, what it said, and what came of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from modelhub.errors import ModelhubError
from modelhub.jobs import Event, Pace

#: Sentences of a job that are kept.
_LINES = 500


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Line(NamedTuple):
    """A line of the log: seconds since 1970, the level (info, warning, error, phase), the text."""

    at: float
    level: str
    text: str


@dataclass(eq=False)
class JobRecord:
    """One job. `place` is where it was started, `lane` the queue that it waits in ("" for none).

    `event` is the last of its progress; `says` the sentence at its end; `rate` units a second, once it is known.
    `began` and `ended` are seconds since 1970. `again` starts the same once more, where the caller allowed it.
    """

    number: int
    title: str
    place: str = ""
    lane: str = ""
    state: State = State.WAITING
    event: Event | None = None
    says: str = ""
    error: ModelhubError | None = None
    began: float | None = None
    ended: float | None = None
    rate: float | None = None
    log: deque[Line] = field(default_factory=lambda: deque(maxlen=_LINES))
    pace: Pace = field(default_factory=Pace)
    cancel: Callable[[], None] = lambda: None
    again: Callable[[], JobRecord] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (State.WAITING, State.RUNNING)

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return ((self.ended or time.time()) - self.began) if self.began else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long this phase will last, as far as its speed tells; None where that is not known."""
        event = self.event
        if event is None or not event.total or not self.rate or self.rate < 1e-6:
            return None
        return max(0, event.total - event.done) / self.rate

    def hear(self, event: Event) -> None:
        """Take an event in: progress moves the bar, a new phase and a sentence go to the log."""
        if event.level != "progress":
            self.log.append(Line(time.time(), event.level, event.item))
            return
        if self.event is None or event.phase != self.event.phase:
            self.pace = Pace()
            self.log.append(Line(time.time(), "phase", event.phase))
        self.rate = self.pace.rate(event.done - event.kept, time.monotonic())
        self.event = event if event.picture is None else event._replace(picture=None)  # pictures are for who listens
