"""A place with a list of assets: which of them an action is about, and what follows when something was changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.text import plural
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.library import Survey
from modelhub.tui.screens.place import Place
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.tui.assets.finder import Finder
    from modelhub.tui.detail.pane import Detail
    from modelhub.tui.jobs.record import JobRecord

#: More assets than this are fetched in a thread: they would hold the interface up.
_AT_ONCE = 1000
#: Moves of files wait for each other, and not for merges.
TIDYING = "tidying"


class TargetsScreen(Place):
    """A subclass gives `finder` (the list with its filter), `assets`, `pane`, `survey` and `refresh_all`."""

    finder: Finder

    @dataclass
    class Changed(Message):
        """Something was written about assets."""

        says: str

    @dataclass
    class Fetched(Message):
        """The assets that an action is about."""

        assets: list[Asset]
        then: Callable[[list[Asset]], None]

    @property
    def assets(self) -> AssetList:
        """The list."""
        raise NotImplementedError

    @property
    def pane(self) -> Detail:
        """The detail pane."""
        raise NotImplementedError

    @property
    def survey(self) -> Survey:
        """What there is in the catalog."""
        raise NotImplementedError

    def refresh_all(self) -> None:
        """Search, count and fetch again."""
        raise NotImplementedError

    # -- which assets --------------------------------------------------------------------------------------------------

    def with_targets(self, then: Callable[[list[Asset]], None]) -> None:
        """Call `then` with the assets that are marked or under the cursor; beeps when there are none."""
        ids = self.assets.targets
        if len(ids) > _AT_ONCE:
            self.notify(f"Fetching {plural(len(ids), 'asset')}…", markup=False, timeout=2)
            self._fetch(ids, then)
        else:
            self._fetched(self.Fetched(self.page(ids), then))

    def page(self, ids: Sequence[int]) -> list[Asset]:
        """A few assets at once; none, and a dialog that says why, where the catalog cannot be read."""
        try:
            return self.library.page(ids)
        except ModelhubError as error:
            self.explain(error)
            return []

    @background("targets")
    def _fetch(self, job: WorkerJob, ids: Sequence[int], then: Callable[[list[Asset]], None]) -> None:
        with self.library.open() as catalog:
            job.post(self.Fetched(catalog.assets(ids), then))

    @on(Fetched)
    def _fetched(self, message: Fetched) -> None:
        if message.assets:
            message.then(message.assets)
        else:
            self.app.bell()

    def show_asset(self, number: int) -> None:
        """Put the cursor on an asset; one that the filter leaves out is asked for by its id."""
        if number in self.assets.ids:
            self.assets.cursor = self.assets.ids.index(number)
        else:
            self.finder.bar.put(f"id:{number}")

    # -- writing -------------------------------------------------------------------------------------------------------

    @background("write", exclusive=False)
    def write(self, job: WorkerJob, says: str, change: Callable[[Catalog], object]) -> None:
        """Write a few words into the catalog."""
        with self.library.open() as catalog:
            change(catalog)
        job.post(self.Changed(says))

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        self.show_changes()
        self.notify(message.says, markup=False, timeout=2)

    def show_changes(self) -> None:
        """What is shown is fetched again."""
        if self.is_mounted:
            self.assets.reload()
            self.refresh_all()

    def run_job(
        self,
        title: str,
        work: Callable[[Catalog, Job], str],
        lane: str = TIDYING,
        then: Callable[[str], None] | None = None,
    ) -> JobRecord:
        """Run `work` on the catalog beside everything else; the sentence that it returns is shown at its end."""

        def run(job: Job) -> str:
            with self.library.open() as catalog:
                return work(catalog, job)

        return self.jobs.start(
            title, run, place=self.scope, lane=lane, says=str, then=then, over=lambda _: self.show_changes()
        )
