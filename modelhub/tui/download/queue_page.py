"""The queue: what waits, runs, rests, failed or is done; other processes may change it, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from modelhub.catalog import downloads
from modelhub.catalog.downloads import TO_RUN, Glance
from modelhub.catalog.store import Catalog
from modelhub.text import one_line
from modelhub.tui.actions import bindings
from modelhub.tui.download.page import Page
from modelhub.tui.download.queue_list import QueueFacts, QueueList
from modelhub.tui.download.removing import RemoveDialog
from modelhub.tui.download.rows import Paces, QueueRow, summary
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import Done, Failed, WorkerJob, background

EMPTY = """\
Nothing is queued.

Paste an address anywhere in modelhub: a page of Civitai or Hugging Face,
civitai:MODEL@VERSION, an AIR, owner/repo, a hash, or any other link.

Or press  /  and type words to search for:  water color kind:lora base:Pony

Files are verified, put where their kind belongs, and catalogued."""
#: States that pausing changes, and those that going on does.
_OPEN = (*TO_RUN, "broken off")


class QueuePage(Page):
    """All downloads of the catalog."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("queue")]
    scope: ClassVar[str] = "queue"

    @dataclass
    class Glanced(Message):
        """The rows of the catalog, as they are now."""

        glances: list[Glance]

    @dataclass
    class Changed(Message):
        """Rows were changed; `goes_on`: something waits that is to run."""

        goes_on: bool

    @dataclass
    class Located(Message):
        """The asset that a finished download became, None if it is there no more."""

        number: int | None
        path: str

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._paces = Paces()
        self._looking = False
        self._point: int | None = None

    def compose(self) -> ComposeResult:
        """What all are at, each of them, and the one under the cursor."""
        yield Static(markup=False, classes="summary")
        yield QueueList(id="downloads", empty=EMPTY)
        with VerticalScroll(classes="facts", can_focus=False):
            yield QueueFacts()

    @property
    def queue(self) -> QueueList:
        """The list."""
        return self.query_one(QueueList)

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        """Whether something runs, here or in another process, or is about to."""
        return self.runner.is_running or any(row.state == "running" for row in self.queue.rows)

    def look(self) -> None:
        """See what the rows are at now."""
        if not self._looking:
            self._looking = True
            self._glance()

    @background("glance", exclusive=False)
    def _glance(self, job: WorkerJob) -> None:
        with self.library.open() as catalog:
            job.post(self.Glanced(downloads.glances(catalog)))

    @on(Done)
    def _glanced_at(self, message: Done) -> None:
        message.stop()
        if message.group == "glance":
            self._looking = False

    @on(Failed)
    def _unreadable(self, message: Failed) -> None:
        """A look that fails says so in the line above the list, not in a dialog twice a second."""
        if message.group == "glance":
            message.stop()
            self.query_one(".summary", Static).update(f" {message.error.message} {message.error.hint}".rstrip())

    @on(Glanced)
    def _show(self, message: Glanced) -> None:
        message.stop()
        if not self.query(QueueFacts):  # it is being closed
            return
        rows = self._paces.rows(message.glances, self.runner.sofar)
        if rows != self.queue.rows:
            self.queue.show(rows)
        at = next((at for at, row in enumerate(rows) if row.glance.id == self._point), None)
        if at is not None:
            self.queue.cursor, self._point = at, None
        waits = any(row.state == "waiting" for row in rows)
        if waits and self.runner.wants_more and not self.runner.is_running:
            self.start()
        self._summarise(rows)

    def _summarise(self, rows: Sequence[QueueRow]) -> None:
        waits = any(row.state in ("waiting", "broken off") for row in rows)
        idle = waits and not self.runner.is_running and not any(row.state == "running" for row in rows)
        line = summary(rows) + (" — s goes on with what waits" if idle else "")
        self.query_one(".summary", Static).update(f" {line}" if rows else "")
        self.place.count(sum(row.state not in ("done",) for row in rows))
        self._explain_row()

    @on(LineList.Highlighted)
    def _explain_row(self) -> None:
        facts = next(iter(self.query(QueueFacts)), None)
        if facts is None:  # it is being closed
            return
        row = self.queue.current
        facts.row = row
        facts.notes = tuple(self.runner.notes.get(row.glance.id, ())) if row is not None else ()
        self.query_one(".facts").display = row is not None

    # -- changing ------------------------------------------------------------------------------------------------------

    def point_at(self, number: int) -> None:
        """Put the cursor on a download as soon as it is seen."""
        self._point = number

    def start(self) -> None:
        """Run what waits."""
        self.runner.start(self.look)
        self.look()

    def action_start(self) -> None:
        """Run what waits, if there is anything."""
        if any(row.state in ("waiting", "broken off") for row in self.queue.rows):
            self.start()
        elif not self.runner.is_running:
            self.say("Nothing waits; p lets go on what is paused, r tries again what failed.")

    @background("change", exclusive=False)
    def _change(self, job: WorkerJob, change: Callable[[Catalog], object], goes_on: bool) -> None:
        if goes_on:  # a runner may take the rows up at once, with the tokens that it knows
            self.runner.forget_tokens()
        with self.library.open() as catalog:
            change(catalog)
        job.post(self.Changed(goes_on))

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        message.stop()
        if message.goes_on:
            self.runner.start(self.look)
        self.look()

    def _ids(self, *states: str) -> list[int]:
        """Of what an action is about, those in one of these states."""
        return [row.glance.id for row in self.queue.targets if row.state in states]

    def action_pause(self) -> None:
        """Pause what can be; if nothing can, let go on what is paused."""
        if going := self._ids(*_OPEN):
            self._change(lambda catalog: downloads.pause(catalog, going), False)
        elif resting := self._ids("paused"):
            self._change(lambda catalog: downloads.resume(catalog, resting), True)
        else:
            self.say("Only what waits or runs can be paused.")

    def action_pause_all(self) -> None:
        """Pause everything, or let everything go on."""
        states = {row.state for row in self.queue.rows}
        if states & set(_OPEN):
            self._change(downloads.pause, False)
        elif "paused" in states:
            self._change(downloads.resume, True)

    def action_retry(self) -> None:
        """Try again what failed: of what is marked or under the cursor, else all."""
        every = [row.glance.id for row in self.queue.rows if row.state == "failed"]
        failed = self._ids("failed") or every
        if failed:
            self._change(lambda catalog: downloads.retry(catalog, failed), True)
        else:
            self.say("Nothing failed.")

    def action_clear(self) -> None:
        """Forget what is done."""
        self._change(downloads.clear, False)

    def action_sooner(self) -> None:
        """Before the one above."""
        self._move(-1)

    def action_later(self) -> None:
        """Behind the one below."""
        self._move(1)

    def _move(self, by: int) -> None:
        here, rows = self.queue.cursor, self.queue.rows
        if 0 <= here + by < len(rows):
            one, other = rows[here].glance.id, rows[here + by].glance.id
            self._change(lambda catalog: downloads.swap(catalog, one, other), False)

    def action_remove(self) -> None:
        """Take rows out; ask what becomes of what has come."""
        rows = self.queue.targets
        if not rows:
            return
        ids = [row.glance.id for row in rows]

        def asked(keep: bool | None) -> None:
            if keep is not None:
                self._remove(ids, keep)

        self.app.push_screen(RemoveDialog(rows), asked)

    def _remove(self, ids: Sequence[int], keep: bool) -> None:
        from modelhub.fetch.queue import remove

        self._change(lambda catalog: remove(catalog, ids, keep_part=keep), False)

    # -- going there ---------------------------------------------------------------------------------------------------

    def chosen(self) -> None:
        """Show it."""
        self.action_show()

    def action_show(self) -> None:
        """Go to the model in the library."""
        row = self.queue.current
        if row is None or row.state != "done":
            self.say("Only what is done is in the library." if row else "Nothing is queued.")
        else:
            self._locate(row.glance.goal)

    @background("locate")
    def _locate(self, job: WorkerJob, path: str) -> None:
        with self.library.open() as catalog:
            asset = catalog.in_place(Path(path))
        job.post(self.Located(asset.id if asset else None, path))

    @on(Located)
    def _go(self, message: Located) -> None:
        from modelhub.tui.finding.palette import show_asset

        message.stop()
        if message.number is None:
            self.say(f"The library has nothing at {one_line(message.path)} any more.", warn=True)
        else:
            show_asset(self.hub, message.number)
