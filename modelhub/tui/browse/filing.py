"""What is done to the files of assets: other names and folders, the trash, hashes, and what a provider says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.jobs import Job
from modelhub.settings import user_path
from modelhub.tui.browse import tidy
from modelhub.tui.browse.targets import TargetsScreen
from modelhub.tui.screens.dialogs import ReportDialog
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog


class FilingScreen(TargetsScreen):
    """Each asks or shows a plan first where files move; what takes long is a job."""

    @dataclass
    class Gone(Message):
        """The assets whose files are not there any more."""

        assets: list[Asset]

    # -- names and folders ---------------------------------------------------------------------------------------------

    def action_rename(self) -> None:
        """Another name, or names by a pattern."""
        self.with_targets(self._rename)

    def _rename(self, targets: list[Asset]) -> None:
        from modelhub.tui.filing.renaming import RenameDialog

        def named(pattern: str | None) -> None:
            if pattern is not None:
                self.assets.marks = {}
                self.run_job("Rename", lambda catalog, job: tidy.rename_assets(catalog, targets, pattern, job))

        self.app.push_screen(RenameDialog(self.library, targets), named)

    def action_move(self) -> None:
        """To another folder."""
        self.with_targets(self._move)

    def _move(self, targets: list[Asset]) -> None:
        from modelhub.tui.filing.moving import MoveDialog

        def chosen(folder: str | None) -> None:
            if folder is not None:
                self.assets.marks = {}
                self.run_job(
                    "Move", lambda catalog, job: tidy.move_assets(catalog, targets, user_path(folder.strip()), job)
                )

        self.app.push_screen(MoveDialog(self.library, targets), chosen)

    # -- trash and undo ------------------------------------------------------------------------------------------------

    def action_trash(self) -> None:
        """Ask, then to the trash."""
        self.with_targets(self._trash)

    def _trash(self, targets: list[Asset]) -> None:
        def go() -> None:
            self.assets.marks = {}
            self.trash_assets(targets)

        tidy.confirm_trash(self, targets, go)

    def trash_assets(self, targets: Sequence[Asset]) -> None:
        """To the trash, without another question."""
        self.run_job("Trash", lambda catalog, job: tidy.to_trash(catalog, targets, job))

    def action_undo(self) -> None:
        """Take back the latest change."""
        from modelhub.organize.undo import undo  # not before the first paint

        self.run_job("Undo", lambda catalog, job: undo(catalog, job=job))

    # -- hashes --------------------------------------------------------------------------------------------------------

    def action_hash(self) -> None:
        """All hashes."""
        self.with_targets(self._hash)

    def _hash(self, targets: list[Asset]) -> None:
        workers = self.settings.workers
        self._reporting("Hash", lambda catalog, job: tidy.hash_all(catalog, targets, workers, job), "scan")

    def action_verify(self) -> None:
        """Read again and compare."""
        self.with_targets(self._verify)

    def _verify(self, targets: list[Asset]) -> None:
        self._reporting("Verify", lambda catalog, job: tidy.verify_all(catalog, targets, job), "scan")

    def action_look_up(self) -> None:
        """Ask Civitai."""
        self.with_targets(self._look_up)

    def _look_up(self, targets: list[Asset]) -> None:
        workers = self.settings.workers
        self._reporting("Look up", lambda catalog, job: tidy.look_up(catalog, targets, workers, job), "looking up")

    def _reporting(self, title: str, work: tidy.Work, lane: str) -> None:
        """Run a job that may have more to say than fits in a notice: that is shown in a dialog."""
        told: list[tidy.Told] = []

        def run(catalog: Catalog, job: Job) -> str:
            told.append(work(catalog, job))
            for line in told[0].lines:
                job.say(line, "warning")
            return told[0].says

        def show(_: str) -> None:
            if told[0].lines and self.hub.here == self.scope:
                self.app.push_screen(ReportDialog(title, told[0].says, told[0].lines))

        self.run_job(title, run, lane, show)

    # -- what is gone --------------------------------------------------------------------------------------------------

    def action_forget(self) -> None:
        """Rows of files that are gone."""
        self._find_gone(self.assets.targets)

    @background("gone")
    def _find_gone(self, job: WorkerJob, ids: Sequence[int]) -> None:
        with self.library.open() as catalog:
            job.post(self.Gone(tidy.gone(catalog, ids)))

    @on(Gone)
    def _ask_to_forget(self, message: Gone) -> None:
        if not message.assets:
            self.notify("No file is missing; a rescan (R) looks again.", markup=False, timeout=4)
            return

        def forget() -> None:
            self.assets.marks = {}
            self.run_job("Forget", lambda catalog, _: tidy.forget_assets(catalog, message.assets))

        tidy.confirm_forget(self, message.assets, forget)
