"""The line of the running job: that of this place if there is one, else any; it vanishes when all is quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import events

from modelhub.jobs import Event
from modelhub.tui.jobs.record import JobRecord
from modelhub.tui.widgets.status import StatusLine

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp


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
        self.rate = record.rate if record else None
        self.event = None if record is None else record.event or Event(record.title, f"{record.title}…")

    @property
    def record(self) -> JobRecord | None:
        """The job that is shown."""
        running = cast("ModelhubApp", self.app).jobs.open
        here = [record for record in running if record.place == getattr(self.screen, "scope", "")]
        return next(iter(here or running), None)

    def on_click(self, event: events.Click) -> None:
        """To the jobs."""
        cast("ModelhubApp", self.app).go("jobs")
