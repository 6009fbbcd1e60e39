"""Convert: files, what is to be done with them, a report on each before anything is written, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.convert import batch as converting
from modelhub.tui.convert.batch import Entry
from modelhub.tui.convert.file_list import ConvertList
from modelhub.tui.convert.files import ConvertFiles
from modelhub.tui.convert.form import ConvertForm
from modelhub.tui.convert.report import ConvertReport
from modelhub.tui.convert.words import question, result_words, sum_words
from modelhub.tui.jobs import elsewhere
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.convert.items import Item
    from modelhub.convert.one import Wish

EMPTY = """\
No files yet.

 a  names a file or a folder
 p  picks an asset of the library
 P  takes every pickle of the library

In the library,  P  sends what is marked here.

What would become of each file is reported
before anything is written."""
#: Seconds of quiet before the files are looked at with other options.
_PAUSE = 0.3
#: Seconds within which what is found of several files is summed up together.
_SUM = 0.1


class ReportPane(VerticalScroll, can_focus=True):
    """The report, to be scrolled."""


class ConvertScreen(ConvertFiles):
    """The form above, the files at the left, the report on the one under the cursor at the right."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("convert")]
    AUTO_FOCUS = "#convert-files"
    scope: ClassVar[str] = "convert"

    @dataclass
    class Looked(Message):
        """What would become of an entry; `turn` says which look found it."""

        turn: int
        entry: Entry

    @dataclass
    class LookedAll(Message):
        """All were looked at: what is free where results go, and what is wrong if they do not fit."""

        turn: int
        free: int | None
        problem: str

    @dataclass
    class Became(Message):
        """What became of a file."""

        item: Item

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._turn = 0
        self._looks = self._afresh = False
        self._free: int | None = None
        self._problem = ""
        self._wish: Wish | None = None
        self._pause: Timer | None = None
        self._summing: Timer | None = None
        self._run: JobRecord | None = None
        self._trashed: list[int] = []

    def body(self) -> ComposeResult:
        """Form, sums, files, report."""
        yield ConvertForm(id="convert-form")
        yield Static(markup=False, id="convert-sum")
        with Horizontal(id="convert-panes"):
            yield ConvertList(id="convert-files")
            with ReportPane(id="convert-report"):
                yield ConvertReport()

    def on_mount(self) -> None:
        """As it was before the restart."""
        self.files.empty = EMPTY
        self.form.put(self.remembered)
        self.bring_back_files()
        self._sum()

    @property
    def files(self) -> ConvertList:
        """The files."""
        return self.query_one(ConvertList)

    @property
    def form(self) -> ConvertForm:
        """What is to be done with them."""
        return self.query_one(ConvertForm)

    @property
    def entries(self) -> list[Entry]:
        """What stands in the list."""
        return self.files.entries

    def remember(self) -> dict[str, Any]:
        """The form, and the files."""
        return {**self.form.values(), "files": [str(entry.path) for entry in self.entries[: converting.KEPT]]}

    # -- looking -------------------------------------------------------------------------------------------------------

    @on(ConvertForm.Changed)
    def _asked_otherwise(self) -> None:
        """Also what is written may be written otherwise; not what is in the trash by now."""
        self._afresh = True
        self.look_soon()

    def look_soon(self) -> None:
        """Look at the files, once the user pauses; what is known of them holds no more until then."""
        self._looks = bool(self.entries)
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self.look_again)

    def look_again(self) -> None:
        """Find out what would become of the files."""
        if self.is_running_job:
            return
        self._turn += 1
        self._problem, self._free = "", None
        try:
            self._wish, to = self.form.wish, self.form.to
        except ModelhubError as error:
            self._wish, self._looks, self._problem = None, False, f"{error.message} {error.hint}"
            self.workers.cancel_group(self, "look")
            self._sum()
            return
        for number, entry in enumerate(self.entries):
            if entry.item is not None and (not entry.is_over or (self._afresh and entry.item.trashed is None)):
                self.files.put(number, replace(entry, item=None))
        self._afresh = False
        self._looks = bool(self.entries)
        self._look(self._turn, [*self.entries], self._wish, to)
        self._sum()

    @background("look")
    def _look(self, job: WorkerJob, turn: int, entries: list[Entry], wish: Wish, to: Path | None) -> None:
        found: list[Entry] = []

        def told(entry: Entry) -> None:
            found.append(entry)
            job.post(self.Looked(turn, entry))

        converting.look(entries, wish, to, job, told)
        job.post(self.LookedAll(turn, *converting.room(found)))

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        if message.turn == self._turn:
            self._put(message.entry)

    @on(LookedAll)
    def _looked_all(self, message: LookedAll) -> None:
        if message.turn == self._turn:
            self._looks, self._free, self._problem = False, message.free, message.problem
            self._sum()

    def _put(self, entry: Entry) -> None:
        number = self.files.places.get(entry.path)
        if number is not None:
            self.files.put(number, entry)
            if self._summing is None:  # thousands of files are not counted anew for each of them
                self._summing = self.set_timer(_SUM, self._sum)

    def _sum(self) -> None:
        """The line of sums, or what is wrong."""
        if self._summing is not None:
            self._summing.stop()
            self._summing = None
        line = self.query_one("#convert-sum", Static)
        line.set_class(bool(self._problem), "-bad")
        items = [entry.item for entry in self.entries]
        line.update(self._problem or sum_words(items, self._free))
        if not self.entries:
            self.query_one(ConvertReport).entry = None

    @on(LineList.Highlighted, "#convert-files")
    def _highlighted(self) -> None:
        report, entry = self.query_one(ConvertReport), self.files.current
        if entry is None or report.entry is None or entry.path != report.entry.path:
            self.query_one(ReportPane).scroll_home(animate=False)
        report.entry = entry

    # -- writing -------------------------------------------------------------------------------------------------------

    @property
    def is_running_job(self) -> bool:
        """Whether files of the list are being written."""
        return self._run is not None and self._run.is_open

    def action_start(self) -> None:
        """Write the results, after a question."""
        ready = converting.ready(self.entries, self._wish) if self._wish is not None else []
        says = ""
        if self.is_running_job:
            says = "They are being written; escape stops it."
        elif self._problem:
            says = self._problem
        elif self._looks or self._wish is None:
            says = "The files are still being looked at; the report comes first."
        elif not ready:
            says = "There is nothing to write: the report says why." if self.entries else "Add files first: a, p or P."
        if says:
            self.notify(says, severity="warning", markup=False)
        else:
            self._ask(ready)

    def _ask(self, ready: Sequence[Item]) -> None:
        wish, items = self._wish, [replace(item) for item in ready]
        assert wish is not None
        text = question(items, len(self.entries) - len(items), wish, self._free)
        title = f"{self.form.what.capitalize()} files"
        confirm(self, title, text, "Write", lambda: self._start(items, wish))

    def _start(self, items: list[Item], wish: Wish) -> None:
        task, many = self.form.what.capitalize(), len(items)
        title = f"{task} {items[0].source.name if many == 1 else plural(many, 'file')}"
        sources = {item.source for item in items}
        for number, entry in enumerate(self.entries):
            if entry.path in sources:
                self.files.put(number, replace(entry, runs=True))
        self._trashed = []
        self._run = self.jobs.start(
            title,
            lambda job: elsewhere.run(job, converting.carry_out, self.library, items, wish, told=self._tell),
            place=self.scope,
            lane="writing",
            says=result_words,
            then=lambda done: self._keep_trashed(done),
            over=lambda _: self._over(),
        )

    def _tell(self, item: Item) -> None:
        """In the thread of the job."""
        self.post_message(self.Became(item))

    @on(Became)
    def _became(self, message: Became) -> None:
        item = message.item
        number = self.files.places.get(item.source)
        if number is not None:
            self._put(replace(self.entries[number], item=item, runs=False))

    def _keep_trashed(self, done: Sequence[Item]) -> None:
        self._trashed = [*dict.fromkeys(item.trashed for item in done if item.trashed is not None)]

    def _over(self) -> None:
        """What was not gone to is as it was."""
        for number, entry in enumerate(self.entries):
            if entry.runs:
                self.files.put(number, replace(entry, runs=False))
        if self._looks:  # other options were chosen meanwhile
            self.look_soon()
        self._sum()

    # -- undo ----------------------------------------------------------------------------------------------------------

    def action_undo(self) -> None:
        """Bring the originals of the last run back."""
        if not self._trashed:
            self.notify("The last run moved nothing to the trash.", markup=False, timeout=3)
            return
        entries, self._trashed = self._trashed, []
        self.jobs.start(
            "Bring originals back",
            lambda job: converting.bring_back(self.library, entries, job),
            place=self.scope,
            lane="writing",
            says=lambda said: said,
            over=lambda record: self._back_again(entries, record),
        )

    def _back_again(self, entries: list[int], record: JobRecord) -> None:
        """The originals are where they were; if not, they can be asked for once more."""
        if record.state is not State.DONE:
            self._trashed = self._trashed or entries
            return
        for number, entry in enumerate(self.entries):
            if entry.item is not None and entry.item.trashed in entries:
                self.files.put(number, replace(entry, item=replace(entry.item, trashed=None)))

    # -- going about ---------------------------------------------------------------------------------------------------

    def action_inspect(self) -> None:
        """Everything in the file under the cursor."""
        from modelhub.tui.convert.inspect_screen import InspectScreen

        entry = self.files.current
        if entry is None:
            self.app.bell()
        else:
            self.app.push_screen(InspectScreen(entry.path))

    @on(LineList.Chosen, "#convert-files")
    def _chosen(self) -> None:
        self.action_inspect()

    def action_again(self) -> None:
        """Look at all files again, also at those that are over."""
        if not self.is_running_job:
            self.files.show([Entry(entry.source) for entry in self.entries])
            self.look_again()

    def action_options(self) -> None:
        """To the form."""
        self.form.query_one("#task").focus()

    def action_report(self) -> None:
        """To the report and back."""
        pane = self.query_one(ReportPane)
        (self.files if self.focused is pane else pane).focus()

    def action_back(self) -> None:
        """Stop what runs, or go back to the list, or to the library."""
        if self.focused is not self.files:
            self.files.focus()
        elif self._run is not None and self._run.is_open:
            self.stop(self._run)
        elif self._looks:
            if self._pause is not None:
                self._pause.stop()
            self.workers.cancel_group(self, "look")
            self._looks, self._problem = False, "Stopped looking; R looks again."
            self._sum()
        else:
            super().action_back()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        self.files.refresh()
