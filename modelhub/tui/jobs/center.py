"""The job center: work that outlives the screen it was started from. It runs in threads; all of its state is changed in
the interface's own thread, which is told by messages.

Its threads are its own: those that Textual lends are few, short reads need them, and leaving would wait for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from textual.message import Message
from textual.signal import Signal

from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event, Job
from modelhub.text import one_line, printable
from modelhub.tui.jobs.history import plain, recalled
from modelhub.tui.jobs.record import JobRecord, Line, State
from modelhub.tui.work import Failed, attempt

if TYPE_CHECKING:
    from textual.app import App

R = TypeVar("R")


@dataclass
class JobMoved(Message):
    """A job has something to say. A waiting one gives way to a newer one of its job, unless something would be lost."""

    record: JobRecord
    event: Event

    def can_replace(self, message: Message) -> bool:
        """Whether this one may be dropped because `message` follows it."""
        if not isinstance(message, JobMoved) or message.record is not self.record:
            return False
        if self.event.level != "progress" or message.event.level != "progress":
            return False
        return self.event.phase == message.event.phase and (
            self.event.picture is None or message.event.picture is not None
        )


@dataclass
class JobEnded(Message):
    """The thread of a job is at its end."""

    record: JobRecord
    result: Any = None
    error: ModelhubError | None = None


@dataclass(frozen=True, slots=True)
class _Ears:
    """Who is told what, in the interface's thread."""

    says: str | Callable[[Any], str]
    then: Callable[[Any], None] | None
    listen: Callable[[Event], None] | None
    over: Callable[[JobRecord], None] | None


class JobCenter:
    """All jobs of the interface, the oldest first. `changed` tells of one whenever it moved."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._numbers = count(1)
        self._ears: dict[int, _Ears] = {}
        self._work: dict[int, Callable[[Job], Any]] = {}
        self._threads: dict[int, threading.Thread] = {}
        self.records: list[JobRecord] = []
        self.changed: Signal[JobRecord] = Signal(app, "jobs")

    @property
    def open(self) -> list[JobRecord]:
        """Those that wait or run."""
        return [record for record in self.records if record.is_open]

    def start(
        self,
        title: str,
        work: Callable[[Job], R],
        *,
        place: str = "",
        lane: str = "",
        says: str | Callable[[R], str] = "",
        then: Callable[[R], None] | None = None,
        listen: Callable[[Event], None] | None = None,
        over: Callable[[JobRecord], None] | None = None,
        again: bool = False,
    ) -> JobRecord:
        """Run `work` in a thread, after those of its `lane` that were started before; returns at once.

        `work` must touch no widget. In the interface's thread, `listen` gets its events (late ones may replace others),
        `then` the result, and `over` the record at the end, whatever became of it. `says` is the sentence that the user
        reads then. An error is shown where the job was started, the `place`, or else as a notice. `again`: the user may
        start the same once more when it is over.
        """
        record = JobRecord(next(self._numbers), one_line(title), place, lane)
        self._ears[record.number] = _Ears(says, then, listen, over)
        self._work[record.number] = work
        self.records.append(record)
        record.cancel = partial(self._stop_waiting, record)
        if again:
            record.again = partial(
                self.start, title, work, place=place, lane=lane, says=says, then=then, listen=listen, over=over,
                again=True,
            )  # fmt: skip
        self.changed.publish(record)
        self._next(lane)
        return record

    def cancel(self, record: JobRecord) -> None:
        """Ask a job to stop; it does at its next step, and leaves nothing half-written."""
        if record.is_open:
            record.cancel()

    def cancel_all(self) -> None:
        """Ask all to stop."""
        for record in self.open:
            self.cancel(record)

    def forget(self, record: JobRecord) -> None:
        """Leave a job that is over out of the list: another one took its place."""
        if record in self.records and not record.is_open:
            self.records.remove(record)

    def clear(self) -> None:
        """Forget the jobs that are over."""
        gone = [record for record in self.records if not record.is_open]
        self.records = self.open
        for record in gone[-1:]:
            self.changed.publish(record)

    def close(self, seconds: float = 1.5) -> None:
        """Stop all, and wait a moment for them to clear up behind them; what does not hear by then ends with us."""
        self.cancel_all()
        end = time.monotonic() + seconds
        for thread in [*self._threads.values()]:
            thread.join(max(0.0, end - time.monotonic()))

    def remember(self) -> dict[str, Any]:
        """The last jobs as plain values."""
        return {"jobs": plain(self.records)}

    def recall(self, kept: dict[str, Any]) -> None:
        """The jobs that were remembered, before all others."""
        self.records = [*recalled(kept.get("jobs")), *self.records]

    # -- running -------------------------------------------------------------------------------------------------------

    def _next(self, lane: str) -> None:
        """Begin what may begin: everything without a lane, the first of a lane that nothing of runs."""
        busy = {record.lane for record in self.records if record.state is State.RUNNING and record.lane}
        for record in self.records:
            if record.state is State.WAITING and record.lane == lane and lane not in busy:
                busy |= {lane} if lane else set()
                self._begin(record)

    def _begin(self, record: JobRecord) -> None:
        job = Job(record.title, lambda event: self._post(JobMoved(record, event)))
        record.state, record.began, record.cancel = State.RUNNING, time.time(), job.cancel
        run = partial(copy_context().run, self._run, record, self._work.pop(record.number), job)
        thread = threading.Thread(target=run, name=f"job {record.number}", daemon=True)
        self._threads[record.number] = thread
        thread.start()
        self.changed.publish(record)

    def _run(self, record: JobRecord, work: Callable[[Job], Any], job: Job) -> None:
        result, error = attempt(lambda: work(job))
        self._post(JobEnded(record, result, error))

    def _post(self, message: Message) -> None:
        with suppress(RuntimeError):  # the interface is gone, and its loop with it
            self._app.post_message(message)

    def _stop_waiting(self, record: JobRecord) -> None:
        if self._work.pop(record.number, None) is not None:
            self.ended(JobEnded(record, error=CancelledError()))

    def _tell(self, record: JobRecord, call: Callable[[], Any]) -> Any:
        """What somebody who asked to be told answers; a bug there is shown, and stops neither the job nor others."""
        answer, error = attempt(call)
        if error is not None:
            record.log.append(Line(time.time(), "error", f"{error.message} {error.hint}".strip()))
            self._post(Failed("jobs", error))
        return answer

    # -- what the app is told ------------------------------------------------------------------------------------------

    def moved(self, message: JobMoved) -> None:
        """An event came."""
        record = message.record
        record.hear(message.event)
        ears = self._ears.get(record.number)
        if ears is not None and (listen := ears.listen) is not None and record.is_open:
            self._tell(record, lambda: listen(message.event))
        self.changed.publish(record)

    def ended(self, message: JobEnded) -> None:
        """A job is over: note what came of it, tell who asked for it, begin the next of its lane."""
        record, ears = message.record, self._ears.pop(message.record.number)
        self._threads.pop(record.number, None)
        stopped = isinstance(message.error, CancelledError)
        record.ended, record.error = time.time(), None if stopped else message.error
        record.state = State.STOPPED if stopped else State.FAILED if message.error else State.DONE
        if record.state is State.DONE:
            self._done(record, ears, message.result)
        elif record.error is not None:
            record.log.append(Line(record.ended, "error", f"{record.error.message} {record.error.hint}".strip()))
        else:
            record.log.append(Line(record.ended, "info", "Stopped."))
        if (over := ears.over) is not None:
            self._tell(record, lambda: over(record))
        self.changed.publish(record)
        self._next(record.lane)

    def _done(self, record: JobRecord, ears: _Ears, result: Any) -> None:
        """Say what came of it, and hand the result over."""
        says, then = ears.says, ears.then
        record.says = printable((self._tell(record, lambda: says(result)) or "") if callable(says) else says)
        record.log.append(Line(record.ended or 0.0, "info", record.says or "Done."))
        if then is not None:
            self._tell(record, lambda: then(result))
