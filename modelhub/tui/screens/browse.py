"""Browse: the sidebar narrows, the finder lists, the detail pane explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Footer, Input

from modelhub.catalog.asset import Asset
from modelhub.settings import user_path
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.library import Library, Survey, survey
from modelhub.tui.narrow import narrow
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.tending import TendingScreen
from modelhub.tui.widgets.asset_list import AssetList
from modelhub.tui.widgets.detail import Detail
from modelhub.tui.widgets.finder import Finder
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.widgets.scanner import Scanner, scan_words
from modelhub.tui.widgets.sidebar import Sidebar
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from modelhub.settings import Settings

EMPTY = """\
Nothing is catalogued yet.

Press  a  and name the folder that holds your models,
or run  modelhub scan FOLDER  in a shell.

Headers are read, weights are not: it is quick,
and no file is changed."""
_NARROW = 100
#: Seconds between two looks at whether the catalog was written to.
_LOOK = 2.0
MERGEABLE = ("checkpoint", "diffusion-model")


class BrowseScreen(TendingScreen):
    """The library. `sidebar` and `detail` are what the user wants to see; None leaves it to the width."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("browse")]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (Textual's declaration)
        (0, "-narrow"),
        (_NARROW, "-normal"),
        (160, "-wide"),
    ]
    AUTO_FOCUS = "#assets"
    scope = "browse"

    sidebar: reactive[bool | None] = reactive(None)
    detail: reactive[bool | None] = reactive(None)
    is_narrow: reactive[bool] = reactive(False)

    @dataclass
    class Surveyed(Message):
        """The counts of the sidebar."""

        survey: Survey

    def __init__(self, library: Library, settings: Settings) -> None:
        super().__init__(library)
        self.settings = settings

    def compose(self) -> ComposeResult:
        """Three panes, a status line, the footer."""
        with Horizontal(id="panes"):
            yield Sidebar(id="sidebar")
            yield Finder(self.library, empty=EMPTY, id="finder")
            yield Detail(id="detail")
        yield Scanner(self.library, hashes=self.settings.hash, id="status")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Count, and look now and then whether somebody else wrote to the catalog."""
        self._count()
        self.set_interval(_LOOK, self._look)

    @property
    def finder(self) -> Finder:
        """The middle pane."""
        return self.query_one(Finder)

    @property
    def assets(self) -> AssetList:
        """The list."""
        return self.finder.assets

    @property
    def survey(self) -> Survey:
        """What there is in the catalog."""
        return self.query_one(Sidebar).survey

    @property
    def pane(self) -> Detail:
        """The detail pane."""
        return self.query_one(Detail)

    @property
    def scanner(self) -> Scanner:
        """The status line."""
        return self.query_one(Scanner)

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
        if self.scanner.stop():
            self.notify("Stopped; what was indexed so far is kept.", markup=False, timeout=3)
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
        self.set_focus(self.finder.bar.input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash that is typed into a field is a slash."""
        return not (action == "filter" and isinstance(self.focused, Input))

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

    @on(Scanner.Found)
    def refresh_all(self) -> None:
        """The catalog changed: search, count and fetch again."""
        self.library.changed()
        self.finder.search(keep=True)
        self._count()

    # -- scanning --------------------------------------------------------------------------------------------------

    def action_rescan(self) -> None:
        """The remembered folders."""
        if self.survey.folders:
            self.scanner.start(())
        else:
            self.action_add_folder()

    def action_add_folder(self) -> None:
        """Ask for a folder and scan it."""
        what = "The folder that holds models; it is remembered for rescans."

        def asked(text: str | None) -> None:
            if text:
                self.scanner.start((user_path(text),))

        self.app.push_screen(AskDialog("Add a folder", what, placeholder="~/models"), asked)

    @on(Scanner.Scanned)
    def _scanned(self, message: Scanner.Scanned) -> None:
        severity: SeverityLevel = "warning" if message.report.problems else "information"
        self.notify(scan_words(message.report), title="Scanned", severity=severity, markup=False)

    def _look(self) -> None:
        """Another process may scan, tag or move files while this one is open."""
        if self.is_current and self.library.changed():
            self.refresh_all()

    # -- what fits -------------------------------------------------------------------------------------------------

    def action_fits(self) -> None:
        """What goes with the asset under the cursor."""
        from modelhub.tui import partners
        from modelhub.tui.screens.fits import FitsScreen

        asset = self.assets.current
        if asset is None:
            self.app.bell()
        elif not partners.question(asset):
            says = "Choose a checkpoint, a LoRA, an embedding, a VAE or a ControlNet; kind:lora finds LoRAs."
            self.notify(says, severity="warning", markup=False)
        else:
            self.app.push_screen(FitsScreen(self.library, self.settings, asset), self._back)

    def _back(self, changed: bool | None) -> None:
        """A screen that may have written files is left."""
        if changed:
            self.refresh_all()

    # -- merging ---------------------------------------------------------------------------------------------------

    def action_merge(self) -> None:
        """To the merge lab with the marked models."""
        self.with_targets(self._merge)

    def _merge(self, targets: list[Asset]) -> None:
        from modelhub.tui.kitchen import LARGEST
        from modelhub.tui.screens.merge_lab import MergeLab

        models = [asset for asset in targets if asset.kind in MERGEABLE][:LARGEST]
        loras = [asset for asset in targets if asset.kind == "lora"][:LARGEST]
        if not models:
            self.notify(
                "Mark one or more checkpoints first; kind:checkpoint finds them.", severity="warning", markup=False
            )
            return

        self.app.push_screen(MergeLab(self.library, self.settings, models, loras), self._back)
        if left := len(targets) - len(models) - len(loras):
            says = f"{plural(left, 'marked asset')} left out: the lab takes up to {LARGEST} models, and as many LoRAs."
            self.notify(says, severity="warning", markup=False)
