"""Jobs: everything that runs, waits or is over, the newest first, with the log of the one under the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message

from modelhub.catalog.downloads import Download, listed
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.jobs.job_facts import JobFacts
from modelhub.tui.jobs.job_list import JobList
from modelhub.tui.jobs.job_log import JobLog
from modelhub.tui.jobs.rows import error_text, log_text, rows
from modelhub.tui.library import Library
from modelhub.tui.places import PLACES
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.screens.place import Place
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import Failed, WorkerJob, background

EMPTY = """\
Nothing runs, and nothing ran.

Scans, downloads, merges, conversions and previews
stand here from the moment they are started,
with what they said and what came of them.

Press  B  for the library,  D  to download,  C  to convert."""
#: Seconds between two looks at what moved, and at the queue of downloads, which other processes may run.
_LOOK, _ASK = 0.25, 2.0
_QUEUED = ("running", "waiting", "paused", "failed")
_PLACES = {place.id for place in PLACES}


class JobsScreen(Place):
    """Jobs: everything that runs, what came of it, and its log."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("jobs")]
    AUTO_FOCUS = "#jobs"
    scope: ClassVar[str] = "jobs"

    @dataclass
    class Queued(Message):
        """The downloads of the queue that are not done."""

        downloads: list[Download]

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._queue: list[Download] = []
        self._moved = True

    def body(self) -> ComposeResult:
        """The list, and the job under the cursor with its log."""
        with Horizontal(id="job-panes"):
            yield JobList(id="jobs")
            with Vertical(id="job-detail"):
                with VerticalScroll(id="job-facts", can_focus=False):
                    yield JobFacts()
                yield JobLog(id="job-log")

    def on_mount(self) -> None:
        """Follow the jobs; what moved is drawn a few times a second, however often it says so."""
        self.list.empty = EMPTY
        self.jobs.changed.subscribe(self, lambda _: self._note())
        self.set_interval(_LOOK, self._look)
        self.set_interval(_ASK, self._ask)
        self._ask()
        self._show()

    @property
    def list(self) -> JobList:
        """The jobs."""
        return self.query_one(JobList)

    @property
    def log_lines(self) -> JobLog:
        """The log of the job under the cursor."""
        return self.query_one(JobLog)

    # -- following -------------------------------------------------------------------------------------------------

    def _note(self) -> None:
        self._moved = True

    def _look(self) -> None:
        if self.is_current and (self._moved or self.jobs.open):
            self._show()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        self._ask()
        self._show()

    def _show(self) -> None:
        self._moved = False
        self.list.show(rows(self.jobs.records, self._queue))

    def _ask(self) -> None:
        """Whether there are downloads that another process runs, or that wait for one to run them."""
        if self.is_current:
            self._read()

    @background("queue")
    def _read(self, job: WorkerJob) -> None:
        with self.library.open() as catalog:
            job.post(self.Queued(listed(catalog, _QUEUED)))

    @on(Queued)
    def _queued(self, message: Queued) -> None:
        """What this process downloads itself stands in the list already."""
        own = any(record.lane == "download" or record.place == "download" for record in self.jobs.open)
        queue = [] if own else message.downloads
        if queue != self._queue:
            self._queue = queue
            self._show()

    @on(Failed)
    def _quiet(self, message: Failed) -> None:
        """A catalog that cannot be read is no reason to disturb every other second; the library says so."""
        message.stop()

    @on(LineList.Highlighted, "#jobs")
    def _highlighted(self) -> None:
        row = self.list.current
        self.query_one(JobFacts).shown = row
        self.log_lines.show(row.key if row else "", row.log if row else [])

    # -- what can be done ------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Stop the job under the cursor."""
        row = self.list.current
        if row is None or not row.is_open:
            self.notify("It is over already." if row else "There is no job.", markup=False, timeout=2)
        elif row.record is None:
            self._elsewhere()
        else:
            self.stop(row.record)

    def _elsewhere(self) -> None:
        says = "It belongs to the queue of downloads. D goes there; `modelhub queue` runs it in a shell."
        self.notify(says, severity="warning", markup=False)

    def action_stop_all(self) -> None:
        """Stop everything, after a question."""
        running = len(self.jobs.open)
        if not running:
            self.notify("Nothing runs.", markup=False, timeout=2)
            return
        text = f"{plural(running, 'job')} would be stopped. Nothing half-written is left behind."
        confirm(self, "Stop all jobs", text, "Stop all", self.jobs.cancel_all)

    def action_clear(self) -> None:
        """Forget what is over."""
        over = len(self.jobs.records) - len(self.jobs.open)
        self.jobs.clear()
        self._show()
        self.notify(f"Forgot {plural(over, 'job')}." if over else "Nothing is over yet.", markup=False, timeout=2)

    def action_again(self) -> None:
        """The same once more."""
        row = self.list.current
        if row is not None and not row.is_open and row.record is not None and row.record.again is not None:
            new = row.record.again()
            self._show()
            self.list.cursor = next(at for at, one in enumerate(self.list.rows) if one.record is new)
        else:
            says = "It is not over yet." if row and row.is_open else "It cannot be started again from here."
            self.notify(f"{says} Enter goes to where it was started.", markup=False, timeout=3)

    def action_open(self) -> None:
        """Where it was started."""
        row = self.list.current
        place = row.place if row is not None else ""
        if place in _PLACES:
            self.hub.go(place)
        elif place in ("running", "commands"):  # "commands" in what older versions remember
            self.hub.action_commands()
        else:
            self.app.bell()

    @on(LineList.Chosen, "#jobs")
    def _chosen(self) -> None:
        self.action_open()

    def action_log(self) -> None:
        """To the log and back."""
        (self.list if self.focused is self.log_lines else self.log_lines).focus()

    def action_back(self) -> None:
        """Out of the log, else to the library."""
        if self.focused is self.log_lines:
            self.list.focus()
        else:
            super().action_back()

    def action_copy(self) -> None:
        """The log to the clipboard."""
        row = self.list.current
        self._copy("log", log_text(row) if row is not None else "")

    def action_copy_error(self) -> None:
        """The error to the clipboard."""
        row = self.list.current
        self._copy("error", error_text(row) if row is not None else "")

    def _copy(self, what: str, text: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)
        self.notify(f"Copied the {what}." if text else f"There is no {what} to copy.", markup=False, timeout=2)
