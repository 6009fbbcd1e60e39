"""Browse: the sidebar narrows, the finder lists, the detail pane explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer

from modelhub.catalog.architectures import architectures
from modelhub.catalog.asset import Asset
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.assets.finder import Finder
from modelhub.tui.browse.listing import ListingScreen
from modelhub.tui.browse.scanning import ask_folder, start_scan
from modelhub.tui.detail.pane import Detail
from modelhub.tui.library import Survey, survey
from modelhub.tui.screens.place import NARROW
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background

EMPTY = """\
Nothing is catalogued yet.

Press  a  and name the folder that holds your models,
or run  modelhub scan FOLDER  in a shell.

Headers are read, weights are not: it is quick,
and no file is changed."""
#: Seconds between two looks at the list while a scan runs.
_REFRESH = 1.0
#: Seconds between two looks at whether the catalog was written to.
_LOOK = 2.0
#: Seconds that the cursor rests until the detail follows, and until what others wrote to the catalog is looked at:
#: to search and count tens of thousands of assets anew would hold up the keys of somebody who scrolls.
_REST, _STILL = 0.04, 0.5
MERGEABLE = ("checkpoint", "diffusion-model")


class BrowseScreen(ListingScreen):
    """The library. `sidebar` and `detail` are what the user wants to see; None leaves it to the width."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("browse")]

    sidebar: reactive[bool | None] = reactive(None)
    detail: reactive[bool | None] = reactive(None)
    is_narrow: reactive[bool] = reactive(False)

    #: `sidebar` and `detail` of a wide terminal.
    _wide: tuple[bool | None, bool | None] = (None, None)
    _told = 0.0
    _moved = 0.0
    _rest: Timer | None = None
    _is_warm = False

    @dataclass
    class Surveyed(Message):
        """The counts of the sidebar."""

        survey: Survey

    class Warm(Message):
        """What the detail needs is read."""

    def body(self) -> ComposeResult:
        """Three panes, as they were left."""
        sidebar, detail = (self.remembered.get(name) for name in ("sidebar", "detail"))
        self._wide = (sidebar if isinstance(sidebar, bool) else None, detail if isinstance(detail, bool) else None)
        self.set_reactive(BrowseScreen.sidebar, self._wide[0])
        self.set_reactive(BrowseScreen.detail, self._wide[1])
        self.make_panes(EMPTY)
        with Horizontal(id="panes"):
            yield self.side
            yield self.finder
            yield Detail(id="detail")

    def on_mount(self) -> None:
        """Count, and look now and then whether somebody else wrote to the catalog."""
        self._warm()
        self._count()
        self.set_interval(_LOOK, self._look)

    @property
    def pane(self) -> Detail:
        """The detail pane."""
        return self.query_one(Detail)

    # -- which panes are seen --------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """A narrow terminal has room for one pane."""
        self.is_narrow = self.size.width < NARROW
        self._arrange()

    def watch_sidebar(self) -> None:
        """Show or hide it."""
        self._arrange()

    def watch_detail(self) -> None:
        """Show or hide it."""
        self._arrange()

    def watch_is_narrow(self) -> None:
        """What was opened in a narrow terminal is forgotten in a wide one; there it is as it was before."""
        if self.is_narrow:
            self._wide = (self.sidebar, self.detail)
        self.sidebar, self.detail = (None, None) if self.is_narrow else self._wide

    def remember(self) -> dict[str, Any]:
        """The list, and which panes are seen in a wide terminal."""
        sidebar, detail = self._wide if self.is_narrow else (self.sidebar, self.detail)
        return {**super().remember(), "sidebar": sidebar, "detail": detail}

    def _arrange(self) -> None:
        if not self.is_mounted:
            return
        side = self.sidebar if self.sidebar is not None else not self.is_narrow
        detail = self.detail if self.detail is not None else not self.is_narrow
        covered = detail and self.is_narrow
        self.side.display = side and not covered
        self.pane.display = detail
        self.finder.display = not covered
        if self.focused is None or not self.focused.display or not self.focused.parent:
            (self.pane if covered else self.assets).focus()

    def action_sidebar(self) -> None:
        """Show it and go there, or hide it."""
        side = self.side
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
        self._explain()
        self.detail = True
        self.pane.focus()

    def action_back(self) -> None:
        """Out of whatever is the innermost thing."""
        if scans := [record for record in self.jobs.open if record.lane == "scan"]:
            self.stop(scans[-1])
            return
        if self.focused is not self.assets:
            if self.is_narrow:
                self.sidebar = self.detail = None
            self.assets.focus()
        elif not self.leave_marks():
            self.finder.bar.put("")

    # -- the list ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a query; where there is room for one pane only, that of the list is needed."""
        if self.is_narrow:
            self.sidebar = self.detail = None
        super().action_filter()

    @on(LineList.Highlighted, "#assets")
    def _highlighted(self) -> None:
        """The list is drawn at once; the detail follows when the cursor rests."""
        self._moved = monotonic()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST, self._explain)

    def _explain(self) -> None:
        if self._is_warm:
            self.pane.asset = self.assets.current

    @background("warm")
    def _warm(self, job: WorkerJob) -> None:
        """What the first detail needs of shipped files is read while the list is drawn."""
        architectures()
        job.post(self.Warm())

    @on(Warm)
    def _warmed(self) -> None:
        self._is_warm = True
        self._explain()

    @on(LineList.Chosen, "#assets")
    def _chosen(self) -> None:
        self.action_open()

    @on(Finder.Shown)
    def _shown(self) -> None:
        self._highlighted()

    # -- counts ----------------------------------------------------------------------------------------------------

    @background("survey")
    def _count(self, job: WorkerJob) -> None:
        with self.library.open() as catalog:
            job.post(self.Surveyed(survey(catalog)))

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        """What was done in other places is seen at once."""
        self._look()

    @on(Surveyed)
    def _surveyed(self, message: Surveyed) -> None:
        self.side.survey = message.survey

    def refresh_all(self) -> None:
        """The catalog changed: search, count and fetch again."""
        self.library.changed()
        self.finder.forget()
        self.finder.search(keep=True)
        self._count()

    # -- scanning --------------------------------------------------------------------------------------------------

    def action_rescan(self) -> None:
        """The remembered folders."""
        if self.survey.scanned:
            self.start_scan(())
        else:
            self.action_add_folder()

    def action_add_folder(self) -> None:
        """Ask for a folder and scan it."""
        ask_folder(self, lambda folder: self.start_scan((folder,)))

    def start_scan(self, folders: Sequence[Path]) -> None:
        """Scan folders beside other work; none for those that are remembered."""
        start_scan(self, folders, lambda _: self.refresh_all(), lambda _: self._found_more())

    def _found_more(self) -> None:
        """Once a second while a scan runs, the list is brought up to date."""
        if self._rests and monotonic() - self._told > _REFRESH:
            self._told = monotonic()
            self.refresh_all()

    def _look(self) -> None:
        """Another process may scan, tag or move files while this one is open."""
        if self.is_current and self._rests and self.library.changed():
            self.refresh_all()

    @property
    def _rests(self) -> bool:
        return monotonic() - self._moved > _STILL

    # -- what fits -------------------------------------------------------------------------------------------------

    def action_fits(self) -> None:
        """What goes with the asset under the cursor; of several that are marked, which with which."""
        from modelhub.tui.fits import partners
        from modelhub.tui.fits.screen import FitsScreen

        asset = self.assets.current
        if len(self.assets.marks) > 1:
            self.with_targets(self._matrix)
        elif asset is None:
            self.app.bell()
        elif not partners.question(asset):
            says = "Choose a checkpoint, a LoRA, an embedding, a VAE or a ControlNet; kind:lora finds LoRAs."
            self.notify(says, severity="warning", markup=False)
        else:
            self.app.push_screen(FitsScreen(self.library, asset))

    def _matrix(self, targets: list[Asset]) -> None:
        from modelhub.tui.fits import partners
        from modelhub.tui.fits.matrix_screen import MatrixScreen

        loras, models = partners.sides(targets)
        if loras or models:
            self.app.push_screen(MatrixScreen(self.library, loras, models))
        else:
            self.notify("Mark LoRAs, models, or both: kind:lora finds LoRAs.", severity="warning", markup=False)

    def action_stack(self) -> None:
        """To the LoRA place with what is marked."""
        self.with_targets(self._stack)

    def _stack(self, targets: list[Asset]) -> None:
        models = [asset for asset in targets if asset.kind in MERGEABLE]
        loras = [asset for asset in targets if asset.kind == "lora"]
        if models or loras:
            self.app.call_later(self.hub.stack, models, loras)
        else:
            self.notify("Mark LoRAs, and a model to put them on.", severity="warning", markup=False)

    # -- merging ---------------------------------------------------------------------------------------------------

    def action_convert(self) -> None:
        """To the place where files are converted, with what is marked."""
        self.with_targets(self._convert)

    def _convert(self, targets: list[Asset]) -> None:
        self.app.call_later(self.hub.convert, targets)

    def action_merge(self) -> None:
        """To the merge lab with the marked models."""
        self.with_targets(self._merge)

    def _merge(self, targets: list[Asset]) -> None:
        from modelhub.tui.lab.kitchen import LARGEST

        models = [asset for asset in targets if asset.kind in MERGEABLE][:LARGEST]
        loras = [asset for asset in targets if asset.kind == "lora"][:LARGEST]
        if not models:
            self.notify(
                "Mark one or more checkpoints first; kind:checkpoint finds them.", severity="warning", markup=False
            )
            return

        self.app.call_later(self.hub.merge, models, loras)
        if left := len(targets) - len(models) - len(loras):
            says = f"{plural(left, 'marked asset')} left out: the lab takes up to {LARGEST} models, and as many LoRAs."
            self.notify(says, severity="warning", markup=False)
