"""Models of which newer versions are known where they came from; nothing is fetched by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Static

from modelhub.jobs import Job
from modelhub.text import clock, human_size, one_line, plural
from modelhub.tui.actions import bindings
from modelhub.tui.download.page import Page
from modelhub.tui.download.table import Cell, Column, Span, Table
from modelhub.tui.download.words import with_keys
from modelhub.tui.jobs.record import JobRecord
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.fetch.lookup.newer import ModelUpdates, Newer
    from modelhub.fetch.lookup.report import SyncReport
    from modelhub.fetch.lookup.updates import UpdatesReport

EMPTY = """\
No newer version is known.

r  asks Civitai and Hugging Face about the models that came from there.

s  first looks up, by their hashes, files of which nobody knows where they came from."""


@dataclass(frozen=True, slots=True)
class Update:
    """A newer version of a model that is here."""

    model: ModelUpdates
    newer: Newer


class UpdateList(Table[Update]):
    """Newer versions, of each model those for the same base first."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Model"),
        Column("Here", 14, least=70),
        Column("Newer", 18),
        Column("Base", 14, least=90),
        Column("Date", 10, least=60),
        Column("Size", 8, right=True, least=50),
        Column("", 13, least=104),
    )

    def key(self, row: Update) -> str:
        """Its address."""
        return row.newer.address

    def sign(self, row: Update) -> Span:
        """Its mark, or that it cannot be had."""
        if self.key(row) in self.marks:
            return super().sign(row)
        return ("✗", "bad") if row.newer.trouble else ("↑", "good" if row.newer.same_base else "muted")

    def cells(self, row: Update) -> Sequence[Cell]:
        """Title, the version here, the newer one, its base, date, size, what is to be noted."""
        newer, here = row.newer, dict.fromkeys(one.version or "?" for one in row.model.here)
        note = (
            ("cannot be had", "bad") if newer.trouble else ("", "muted") if newer.same_base else ("other base", "warn")
        )
        return (
            (row.model.title or row.model.model, "name"),
            (", ".join(here), "muted"),
            (newer.version or newer.version_id, "good" if newer.same_base else "muted"),
            (newer.base_model or "-", "muted"),
            ((newer.published or "")[:10], "muted"),
            (human_size(newer.size), "muted"),
            note,
        )


class UpdatesPage(Page):
    """What is newer, as far as it is known; r asks."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("updates")]
    scope: ClassVar[str] = "updates"

    @dataclass
    class Open(Message):
        """The files of these addresses are wanted."""

        addresses: list[str]

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._record: JobRecord | None = None
        self._was_opened = False

    def compose(self) -> ComposeResult:
        """What was compared over what is newer."""
        yield Static(markup=False, classes="summary")
        yield UpdateList(id="newer", empty=EMPTY)

    def opened(self) -> None:
        """The first time, what was answered within a day is compared; the rest is asked for."""
        if not self._was_opened:
            self._was_opened = True
            self._compare(refresh=False)

    @property
    def is_busy(self) -> bool:
        """Whether it is asking."""
        return self._record is not None and self._record.is_open

    def stop(self) -> None:
        """Stop asking; what is known by then is kept."""
        if self._record is not None:
            self.hub.jobs.cancel(self._record)

    # -- comparing -----------------------------------------------------------------------------------------------------

    def action_check(self) -> None:
        """Ask again."""
        self._compare(refresh=True)

    def _compare(self, *, refresh: bool) -> None:
        if self.is_busy:
            return
        self._record = self.hub.jobs.start(
            "Updates",
            lambda job: self._report(job, refresh),
            place="download",
            lane="lookup",
            then=self._show,
            again=True,
        )

    def _report(self, job: Job, refresh: bool) -> UpdatesReport:
        from modelhub.fetch.lookup.updates import updates
        from modelhub.fetch.net import Net

        with self.library.open() as catalog, Net() as net:
            return updates(catalog, "", net, job, refresh=refresh)

    def _show(self, report: UpdatesReport) -> None:
        if not self.is_mounted:
            return
        rows = [Update(one, newer) for one in report.behind for newer in one.newer]
        self.table.show(rows)
        self.place.counted("updates", len(rows))
        self.query_one(".summary", Static).update(" " + " · ".join(_told(report)))
        for problem in (*report.problems[:2], *([report.stopped] if report.stopped else [])):
            self.say(f"{problem.message} {with_keys(problem.hint)}".strip(), warn=True)

    # -- looking up ----------------------------------------------------------------------------------------------------

    def action_sync(self) -> None:
        """Ask Civitai about files by the hashes that they have."""
        self._look_up(hashing=False)

    def action_hash(self) -> None:
        """Hash what has no hash, then ask."""
        self._look_up(hashing=True)

    def _look_up(self, *, hashing: bool) -> None:
        if self.is_busy:
            return
        self._record = self.hub.jobs.start(
            "Look up at Civitai",
            lambda job: self._sync(job, hashing),
            place="download",
            lane="lookup",
            says=lambda report: " ".join(_synced(report)),
            over=lambda _: self._compare(refresh=False) if self.is_mounted else None,
            again=True,
        )

    def _sync(self, job: Job, hashing: bool) -> SyncReport:
        from modelhub.fetch.lookup.sync import sync
        from modelhub.fetch.net import Net
        from modelhub.scan.hashing import hash_assets

        workers = self.hub.settings.workers
        with self.library.open() as catalog, Net() as net:

            def hash_them(ids: Sequence[int]) -> None:
                for path, error in hash_assets(catalog, catalog.assets(ids), "full", workers, job):
                    if error is not None:
                        job.say(f"{one_line(str(path))}: {error.message}", "warning")

            return sync(catalog, "", net, job, hashing=hash_them if hashing else None)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def chosen(self) -> None:
        """Its files."""
        self.action_open()

    def action_open(self) -> None:
        """Ask for the files of what is marked, or under the cursor."""
        rows: list[Update] = self.table.targets
        if rows:
            self.post_message(self.Open([row.newer.address for row in rows]))

    def action_copy(self) -> None:
        """Copy the address of the page."""
        row: Update | None = self.table.current
        if row is not None:
            self.app.copy_to_clipboard(row.model.page or row.newer.address)
            self.say("Copied the address of the page.")


def _told(report: UpdatesReport) -> Iterator[str]:
    yield f"{plural(report.models, 'model')} compared, {len(report.behind):,} with something newer"
    if report.behind:
        yield f"asked {clock(min(one.at for one in report.behind))}"
    if report.unknown:
        yield f"{plural(report.unknown, 'asset')} from nowhere that is known (s)"
    if report.vanished:
        yield f"{plural(len(report.vanished), 'model')} no longer offered"


def _synced(report: SyncReport) -> Iterator[str]:
    yield f"{len(report.found):,} known to Civitai, {report.unknown:,} unknown to it."
    if report.unhashed:
        yield f"{plural(report.unhashed, 'asset')} without a hash: S hashes them first."
    if report.stopped is not None:
        yield f"{report.stopped.message} {with_keys(report.stopped.hint)}".strip()
