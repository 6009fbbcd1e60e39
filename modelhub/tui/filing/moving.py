"""Move: a folder, with those that hold assets already to choose from, and where every file would go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from modelhub.catalog.counting import folders
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.formats.naming import is_model_name
from modelhub.jobs import Job
from modelhub.organize.move import MoveReport, move
from modelhub.settings import user_path
from modelhub.text import human_size, plural
from modelhub.tui.filing.goal_list import GoalList
from modelhub.tui.filing.planning import PlanDialog
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background


class MoveDialog(PlanDialog):
    """Gives the folder."""

    title_of: ClassVar[str] = "Move"
    keys: ClassVar[str] = "↓ to the folders · tab takes the first · enter moves · escape leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="plan.complete"),
        Binding("down", "folders", "To the folders", show=False, id="plan.folders"),
    ]

    @dataclass
    class Known(Message):
        """The folders that there are, and how many assets lie in each."""

        folders: Mapping[str, int]

    def between(self) -> ComposeResult:
        """Folders to choose from."""
        yield GoalList(id="plan-folders")

    def on_mount(self) -> None:
        """Look which folders there are."""
        super().on_mount()
        self._find_folders()

    @background("folders")
    def _find_folders(self, job: WorkerJob) -> None:
        with self.library.open() as catalog:
            known = {str(root): 0 for root in catalog.roots()}
            for folder, count in folders(catalog).items():
                path = folder.rstrip("/") or "/"
                known[path] = known.get(path, 0) + count
        job.post(self.Known(dict(sorted(known.items(), key=lambda one: one[0].casefold()))))

    @on(Known)
    def _know(self, message: Known) -> None:
        self.folders.know(message.folders)
        self.folders.narrow(self.line.value)

    @property
    def folders(self) -> GoalList:
        """The list of folders."""
        return self.query_one(GoalList)

    @on(Input.Changed, "#plan-line")
    def _narrow(self) -> None:
        if self.folders.current != self.line.value:
            self.folders.narrow(self.line.value)

    # -- choosing ------------------------------------------------------------------------------------------------------

    def action_folders(self) -> None:
        """From the line to the list."""
        self._narrow()
        self.folders.focus()
        if self.folders.current is not None:
            self._put(self.folders.current)

    def action_complete(self) -> None:
        """The folder under the cursor goes into the line, to be taken or to be gone on from."""
        self._narrow()  # a key may be quicker than the word of the keys before it
        if self.folders.current is not None:
            self._put(self.folders.current)
        self.line.focus()

    @on(LineList.Highlighted, "#plan-folders")
    def _highlighted(self) -> None:
        if self.folders.has_focus and self.folders.current is not None:
            self._put(self.folders.current)

    @on(LineList.Clicked, "#plan-folders")
    def _clicked(self) -> None:
        if self.folders.current is not None:
            self._put(self.folders.current)

    def _put(self, folder: str) -> None:
        with self.prevent(Input.Changed):
            self.line.value = folder
        self.line.cursor_position = len(folder)
        self._changed()

    # -- the plan ------------------------------------------------------------------------------------------------------

    def about(self) -> str:
        """What may be typed."""
        return "A folder; one that is not there yet is made. ~ is your home."

    def plan(self, catalog: Catalog, typed: str, job: Job) -> MoveReport:
        """Every file with its new place."""
        if not typed.strip():
            raise UsageError("Which folder?", "Type a path, or go down to the folders that there are.")
        goal = user_path(typed.strip())
        if not goal.is_absolute():
            raise UsageError("That is no whole path.", "Begin it with / or ~, or choose a folder below.")
        if is_model_name(goal.name) and not goal.is_dir():
            raise UsageError("That is the name of a file.", "Name a folder; r in the library gives other names.")
        return move(catalog, self.targets, goal, job, dry_run=True, make=True)

    def words(self, report: MoveReport) -> str:
        """How much goes where."""
        if not report.files:
            return "They are there already."
        size = human_size(sum(asset.size for asset, _ in report.assets))
        what = f"{plural(len(report.assets), 'asset')}, {plural(len(report.files), 'file')}, {size}"
        folder = report.files[0][1].parent
        new = "" if folder.is_dir() else "; the folder is made"
        stayed = f"; {plural(len(report.shared), 'sidecar')} stay with another model" if report.shared else ""
        there = f"; {len(report.already):,} are there already" if report.already else ""
        return f"Would move {what}{there}{new}{stayed}{_far(report.files[0][0], folder)}."


def _far(old: Path, folder: Path) -> str:
    """That files are copied to another disk, which takes its time."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return "" if old.stat().st_dev == there.stat().st_dev else "; to another disk, so they are copied and checked"
