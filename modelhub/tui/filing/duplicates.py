"""Duplicates: the same bytes, or the same weights in another file; all but one of a group can go to the trash."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from modelhub.jobs import Job
from modelhub.organize.dupes import DupesReport, dupes
from modelhub.text import human_size, plural
from modelhub.tui.actions import bindings
from modelhub.tui.browse.tidy import confirm_trash, to_trash
from modelhub.tui.filing.dupe_list import DupeList
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.screens.dialogs import ReportDialog
from modelhub.tui.screens.sheet import Sheet
from modelhub.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from modelhub.tui.browse.targets import TargetsScreen

_LOOKING = "Looking…\n\nFiles of one size are hashed, and a few numbers of every model are read;\nescape stops it."
_NOTHING = "There are no duplicates."
_STOPPED = "Stopped.\n\nWhat was hashed and sampled so far is kept; T in the library goes on."


class DupesScreen(Sheet):
    """Looks among what `query` finds; nothing is marked before the user does it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dupes")]
    AUTO_FOCUS = "#dupe-list"
    scope: ClassVar[str] = "dupes"

    def __init__(self, place: TargetsScreen, query: str) -> None:
        super().__init__()
        self._place, self._query = place, query.strip()
        self._job: JobRecord | None = None
        self._looked = 0

    def body(self) -> ComposeResult:
        """The list."""
        yield DupeList(id="dupe-list")

    @property
    def list(self) -> DupeList:
        """The groups."""
        return self.query_one(DupeList)

    def on_mount(self) -> None:
        """Look at once."""
        self.list.empty = _LOOKING
        self.watch(self.list, "marks", self._say, init=False)
        self._say()
        self._job = self._place.jobs.start(
            "Duplicates", self._find, place=self._place.scope, lane="scan", then=self._found, over=self._over
        )

    def _find(self, job: Job) -> DupesReport:
        with self._place.library.open() as catalog:
            return dupes(catalog, catalog.find(self._query), job=job)

    def _found(self, report: DupesReport) -> None:
        if not self.is_mounted:
            return
        self._looked = report.assets
        self.list.empty = _NOTHING
        self.list.show(report.groups)
        self._say()
        if report.skipped:
            lines = [message for _, message in report.skipped]
            says = f"{plural(len(lines), 'file was', 'files were')} left out:"
            self.app.push_screen(ReportDialog("Duplicates", says, lines))

    def _over(self, record: JobRecord) -> None:
        if self.is_mounted and record.state is not State.DONE:
            self.list.empty = _STOPPED if record.state is State.STOPPED else ""
            self._say()

    def _say(self) -> None:
        """What is marked, and how much it frees."""
        where = f"among {self._query}" if self._query else "in the whole library"
        marked = self.list.marked
        twins = sum(1 for _ in self.list.twins)
        if marked:
            size = sum(asset.size for asset in marked)
            self.tell("Duplicates", f"{plural(len(marked), 'file')} marked to go: {human_size(size)} to be freed")
        elif twins:
            self.tell(
                "Duplicates", f"{plural(twins, 'file')} of {self._looked:,} {where} · a marks all but one of each"
            )
        else:
            self.tell("Duplicates", where)

    # -- marks ---------------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark a file that is to go."""
        if not self.list.toggle():
            self.notify("One file of each group stays.", severity="warning", markup=False, timeout=3)

    def action_mark_rest(self) -> None:
        """All but one of each group."""
        self.list.mark_rest()

    def action_keep(self) -> None:
        """This one stays."""
        self.list.keep()

    def action_trash(self) -> None:
        """Ask, and move what is marked to the trash."""
        marked = self.list.marked
        if not marked:
            self.notify("Mark first what is to go: space, or a for all but one.", markup=False, timeout=4)
            return
        gone = frozenset(asset.id for asset in marked)

        def drop(_: str) -> None:
            if self.is_mounted:
                self.list.drop(gone)
                self._say()

        def go() -> None:
            self._place.run_job("Trash", lambda catalog, job: to_trash(catalog, marked, job), then=drop)

        confirm_trash(self, marked, go)

    def action_compare(self) -> None:
        """The file under the cursor beside the one that is kept, or beside the first other."""
        from modelhub.tui.compare.screen import CompareScreen

        twin = self.list.current
        if twin is None:
            self.app.bell()
            return
        group = [one for one in self.list.twins if one.group == twin.group and one is not twin]
        other = next((one for one in group if self.list.is_kept(one)), group[0])
        self.app.push_screen(CompareScreen(self._place.library, [other.asset, twin.asset]))

    # -- leaving -------------------------------------------------------------------------------------------------------

    @on(LineList.Chosen)
    def action_open(self) -> None:
        """Go to the file in the library."""
        if (twin := self.list.current) is None:
            self.app.bell()
            return
        self.dismiss(None)
        self._place.show_asset(twin.asset.id)

    def action_back(self) -> None:
        """Stop the search, or leave."""
        if self._job is not None and self._job.is_open:
            self._place.jobs.cancel(self._job)
        else:
            self.dismiss(None)
