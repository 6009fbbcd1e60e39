"""The line of the running job: the newest of this place if there is one, else of any; it vanishes when all is quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import events

from modelhub.jobs import Event
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.keys.key_names import keys_in_words
from modelhub.tui.widgets.status import StatusLine

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

#: How a job of its own is stopped in a place, where that is not by escape alone.
_STOPS = {"download": "esc in the queue stops"}


class JobLine(StatusLine):
    """Follows the job center."""

    def __init__(self) -> None:
        super().__init__(id="status")

    def on_mount(self) -> None:
        """Listen."""
        jobs = cast("ModelhubApp", self.app).jobs
        jobs.changed.subscribe(self, lambda _: self._look())
        self._look()

    def _look(self) -> None:
        record = self.record
        if record is not None:
            self.hint = self._how(record)
        self.rate = record.rate if record else None
        self.event = None if record is None else record.event or Event(record.title, f"{record.title}…")

    @property
    def record(self) -> JobRecord | None:
        """The job that is shown."""
        found = cast("ModelhubApp", self.app).jobs.open
        found = [record for record in found if record.place == self._scope] or found
        found = [record for record in found if record.state is State.RUNNING] or found
        return found[-1] if found else None

    @property
    def _scope(self) -> str:
        return getattr(self.screen, "scope", "")

    def _how(self, record: JobRecord) -> str:
        """How it is stopped: escape is for the jobs of the place where it is pressed."""
        if record.place == self._scope:
            return _STOPS.get(self._scope, "esc stops")
        if self._scope == "jobs":
            return "x stops"
        return f"{keys_in_words(cast('ModelhubApp', self.app).keys.get('app.go_jobs', 'J'))} shows it"

    def on_click(self, event: events.Click) -> None:
        """To the jobs."""
        cast("ModelhubApp", self.app).go("jobs")
