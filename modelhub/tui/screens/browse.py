"""Browse: the sidebar narrows, the finder lists, the detail pane explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Footer

from modelhub.catalog.asset import Asset
from modelhub.scan import ScanReport, scan
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.library import Library, Survey, survey
from modelhub.tui.narrow import narrow
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.tags import TagChange, TagDialog
from modelhub.tui.widgets.asset_list import AssetList
from modelhub.tui.widgets.detail import Detail
from modelhub.tui.widgets.finder import Finder
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.widgets.sidebar import Sidebar
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Progress, WorkerJob, background

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.settings import Settings

EMPTY = """\
Nothing is catalogued yet.

Press  a  and name the folder that holds your models,
or run  modelhub scan FOLDER  in a shell.

Headers are read, weights are not: it is quick,
and no file is changed."""
_NARROW = 100
MERGEABLE = ("checkpoint", "diffusion-model")


class BrowseScreen(Screen[None]):
    """The library. `sidebar` and `detail` are what the user wants to see; None leaves it to the width."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("browse")]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (Textual's declaration)
        (0, "-narrow"),
        (_NARROW, "-normal"),
        (160, "-wide"),
    ]
    scope = "browse"

    sidebar: reactive[bool | None] = reactive(None)
    detail: reactive[bool | None] = reactive(None)
    is_narrow: reactive[bool] = reactive(False)

    @dataclass
    class Surveyed(Message):
        """The counts of the sidebar."""

        survey: Survey

    @dataclass
    class Scanned(Message):
        """A scan is through."""

        report: ScanReport

    @dataclass
    class Changed(Message):
        """Something was written about assets."""

        says: str

    def __init__(self, library: Library, settings: Settings) -> None:
        super().__init__()
        self.library, self.settings = library, settings
        self._shown_at = 0.0

    def compose(self) -> ComposeResult:
        """Three panes, a status line, the footer."""
        with Horizontal(id="panes"):
            yield Sidebar(id="sidebar")
            yield Finder(self.library, empty=EMPTY, id="finder")
            yield Detail(id="detail")
        yield StatusLine(id="status")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Count, and start in the list."""
        self._count()
        self.assets.focus()

    @property
    def finder(self) -> Finder:
        """The middle pane."""
        return self.query_one(Finder)

    @property
    def assets(self) -> AssetList:
        """The list."""
        return self.finder.assets

    @property
    def pane(self) -> Detail:
        """The detail pane."""
        return self.query_one(Detail)

    # -- which panes are seen --------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """A narrow terminal has room for one pane."""
        self.is_narrow = self.size.width < _NARROW
        self._arrange()

    def watch_sidebar(self) -> None:
        """Show or hide it."""
        self._arrange()

    def watch_detail(self) -> None:
        """Show or hide it."""
        self._arrange()

    def watch_is_narrow(self) -> None:
        """What was opened on purpose in a narrow terminal is not kept for a wide one, and the other way round."""
        self.sidebar = self.detail = None

    def _arrange(self) -> None:
        if not self.is_mounted:
            return
        side = self.sidebar if self.sidebar is not None else not self.is_narrow
        detail = self.detail if self.detail is not None else not self.is_narrow
        covered = detail and self.is_narrow
        self.query_one(Sidebar).display = side and not covered
        self.pane.display = detail
        self.finder.display = not covered
        if self.focused is None or not self.focused.display or not self.focused.parent:
            (self.pane if covered else self.assets).focus()

    def action_sidebar(self) -> None:
        """Show it and go there, or hide it."""
        side = self.query_one(Sidebar)
        if self.is_narrow:
            self.detail = None
        self.sidebar = not side.display
        (side if side.display else self.assets).focus()

    def action_detail(self) -> None:
        """Show or hide the detail pane."""
        self.detail = not self.pane.display
        (self.pane if self.pane.display and self.is_narrow else self.assets).focus()

    def action_open(self) -> None:
        """Go to the detail."""
        self.detail = True
        self.pane.focus()

    def action_back(self) -> None:
        """Out of whatever is the innermost thing."""
        if self._stop_job():
            return
        if self.focused is not self.assets:
            if self.is_narrow:
                self.sidebar = self.detail = None
            self.assets.focus()
        elif self.assets.marks:
            self.assets.marks = {}
        else:
            self.finder.bar.put("")

    # -- filter, order, marks --------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a query."""
        if self.is_narrow:
            self.sidebar = self.detail = None
        self.finder.bar.input.focus()

    @on(Sidebar.Narrow)
    def _narrow(self, message: Sidebar.Narrow) -> None:
        self.finder.bar.put(narrow(self.finder.bar.text, message.terms))

    def action_sort(self) -> None:
        """By the next column."""
        self.finder.sort_next()

    def action_reverse(self) -> None:
        """The other way round."""
        self.finder.reverse()

    def action_mark(self) -> None:
        """Mark and go on."""
        self.assets.toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all that was found."""
        self.assets.mark_all()

    @on(LineList.Highlighted, "#assets")
    def _highlighted(self) -> None:
        self.pane.asset = self.assets.current

    @on(LineList.Chosen, "#assets")
    def _chosen(self) -> None:
        self.action_open()

    @on(Finder.Shown)
    def _shown(self) -> None:
        self.pane.asset = self.assets.current

    # -- counts ----------------------------------------------------------------------------------------------------

    @background("survey")
    def _count(self, job: WorkerJob) -> None:
        with self.library.open() as catalog:
            job.post(self.Surveyed(survey(catalog)))

    @on(Surveyed)
    def _surveyed(self, message: Surveyed) -> None:
        self.query_one(Sidebar).survey = message.survey

    def refresh_all(self) -> None:
        """The catalog changed: search, count and fetch again."""
        self._shown_at = monotonic()
        self.finder.search(keep=True)
        self._count()

    # -- what the user says of assets ------------------------------------------------------------------------------

    def _targets(self) -> list[Asset]:
        """The assets an action is about; beeps when there are none."""
        found = self.library.page(self.assets.targets)
        if not found:
            self.app.bell()
        return found

    def action_tag(self) -> None:
        """Edit tags."""
        targets = self._targets()
        if targets:
            ids = [asset.id for asset in targets]
            self.app.push_screen(
                TagDialog(targets, self.query_one(Sidebar).survey.tags), lambda change: self._tagged(ids, change)
            )

    def _tagged(self, ids: list[int], change: TagChange | None) -> None:
        if change is not None and (change.add or change.remove):
            self._write(
                f"Tagged {plural(len(ids), 'asset')}.", lambda catalog: catalog.tag(ids, change.add, change.remove)
            )

    def action_rate(self, stars: int) -> None:
        """Give stars."""
        ids = [asset.id for asset in self._targets()]

        def rate(catalog: Catalog) -> None:
            with catalog.atomic():
                for number in ids:
                    catalog.rate(number, stars)

        if ids:
            self._write(f"{'★' * stars or 'No stars'} for {plural(len(ids), 'asset')}.", rate)

    def action_note(self) -> None:
        """Write a note."""
        asset = self.assets.current
        if asset is None:
            self.app.bell()
            return
        number = asset.id

        def noted(text: str | None) -> None:
            if text is not None:
                self._write("Noted.", lambda catalog: catalog.note(number, text))

        self.app.push_screen(
            AskDialog("Note", asset.name, asset.notes, placeholder="what to remember", empty=True), noted
        )

    @background("write", exclusive=False)
    def _write(self, job: WorkerJob, says: str, change: Callable[[Catalog], None]) -> None:
        with self.library.open() as catalog:
            change(catalog)
        job.post(self.Changed(says))

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        self.assets.reload()
        self.refresh_all()
        self.notify(message.says, markup=False, timeout=2)

    def action_copy_path(self) -> None:
        """The path to the clipboard."""
        self._copy("path", str(self.assets.current.path) if self.assets.current else "")

    def action_copy_hash(self) -> None:
        """The SHA256 to the clipboard."""
        self._copy("SHA256", (self.assets.current.sha256 or "") if self.assets.current else "")

    def _copy(self, what: str, text: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)
        self.notify(f"Copied the {what}." if text else f"There is no {what} to copy.", markup=False, timeout=2)

    # -- scanning --------------------------------------------------------------------------------------------------

    def action_rescan(self) -> None:
        """The remembered folders."""
        if self.query_one(Sidebar).survey.folders:
            self._scan(())
        else:
            self.action_add_folder()

    def action_add_folder(self) -> None:
        """Ask for a folder and scan it."""
        what = "The folder that holds models; it is remembered for rescans."

        def asked(text: str | None) -> None:
            if text:
                self._scan((Path(text).expanduser(),))

        self.app.push_screen(AskDialog("Add a folder", what, placeholder="~/models"), asked)

    @background("scan")
    def _scan(self, job: WorkerJob, folders: Sequence[Path]) -> None:
        with self.library.open() as catalog:
            job.post(self.Scanned(scan(catalog, folders, hashes="none", job=job)))

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if message.event.level != "progress":
            return
        self.query_one(StatusLine).event = message.event
        if monotonic() - self._shown_at > 1:
            self.refresh_all()

    @on(Scanned)
    def _scanned(self, message: Scanned) -> None:
        report = message.report
        news = [
            f"{plural(report.files, 'file')}: {report.added:,} new, {report.updated:,} changed, {report.missing:,} gone"
        ]
        news += [f"{plural(len(report.problems), 'file')} could not be read; problem:yes finds them."] * bool(
            report.problems
        )
        self.notify(
            " ".join(news), title="Scanned", severity="warning" if report.problems else "information", markup=False
        )

    @on(Done)
    def _done(self, message: Done) -> None:
        if message.group == "scan":
            self._idle()
            self.refresh_all()

    def _stop_job(self) -> bool:
        """Stop the scan, if one runs."""
        status = self.query_one(StatusLine)
        if status.event is None:
            return False
        self.workers.cancel_group(self, "scan")
        self._idle()
        self.notify("Stopped; what was indexed so far is kept.", markup=False, timeout=3)
        return True

    def _idle(self) -> None:
        self.query_one(StatusLine).event = None

    # -- merging ---------------------------------------------------------------------------------------------------

    def action_merge(self) -> None:
        """To the merge lab with up to three of the marked models."""
        from modelhub.tui.screens.merge_lab import MergeLab

        models = [asset for asset in self._targets() if asset.kind in MERGEABLE]
        if not models:
            self.notify(
                "Mark one to three checkpoints first; kind:checkpoint finds them.", severity="warning", markup=False
            )
            return

        def back(changed: bool | None) -> None:
            if changed:
                self.refresh_all()

        self.app.push_screen(MergeLab(self.library, self.settings, models[:3]), back)
