"""What the user does to assets, marked or under the cursor: tags, stars, notes, kinds, trash, undo, the clipboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.screen import Screen

from modelhub.catalog.asset import Asset
from modelhub.organize import words
from modelhub.organize.undo import undo
from modelhub.text import one_line, plural
from modelhub.tui.library import Library, Survey
from modelhub.tui.screens.dialogs import NoteDialog
from modelhub.tui.screens.naming import NamingDialog
from modelhub.tui.screens.tags import TagChange, TagDialog
from modelhub.tui.tidy import to_trash, trash_question
from modelhub.tui.widgets.asset_list import AssetList
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog

#: More assets than this are fetched in a thread: they would hold the interface up.
_AT_ONCE = 1000


class TendingScreen(Screen[None]):
    """A screen with a list of assets; a subclass gives `assets`, `survey` and `refresh_all`."""

    @dataclass
    class Changed(Message):
        """Something was written about assets."""

        says: str
        seconds: float = 2

    @dataclass
    class Fetched(Message):
        """The assets that an action is about."""

        assets: list[Asset]
        then: Callable[[list[Asset]], None]

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.library = library

    @property
    def assets(self) -> AssetList:
        """The list."""
        raise NotImplementedError

    @property
    def survey(self) -> Survey:
        """What there is in the catalog."""
        raise NotImplementedError

    def refresh_all(self) -> None:
        """Search, count and fetch again."""
        raise NotImplementedError

    # -- which assets ----------------------------------------------------------------------------------------------

    def with_targets(self, then: Callable[[list[Asset]], None]) -> None:
        """Call `then` with the assets that are marked or under the cursor; beeps when there are none."""
        ids = self.assets.targets
        if len(ids) > _AT_ONCE:
            self.notify(f"Fetching {plural(len(ids), 'asset')}…", markup=False, timeout=2)
            self._fetch(ids, then)
        else:
            self._fetched(self.Fetched(self.library.page(ids), then))

    @background("targets")
    def _fetch(self, job: WorkerJob, ids: list[int], then: Callable[[list[Asset]], None]) -> None:
        with self.library.open() as catalog:
            job.post(self.Fetched(catalog.assets(ids), then))

    @on(Fetched)
    def _fetched(self, message: Fetched) -> None:
        if message.assets:
            message.then(message.assets)
        else:
            self.app.bell()

    # -- what is said of them --------------------------------------------------------------------------------------

    def action_tag(self) -> None:
        """Edit tags."""
        self.with_targets(self._tag)

    def _tag(self, targets: list[Asset]) -> None:
        ids = [asset.id for asset in targets]

        def tagged(change: TagChange | None) -> None:
            if change is not None and (change.add or change.remove):
                says = f"Tagged {plural(len(ids), 'asset')}."
                self._write(says, lambda catalog: words.tag(catalog, ids, change.add, change.remove))

        self.app.push_screen(TagDialog(targets, self.survey.tags), tagged)

    def action_rate(self, stars: int) -> None:
        """Give stars."""
        ids = self.assets.targets
        if not ids:
            self.app.bell()
            return
        says = f"{'★' * stars or 'No stars'} for {plural(len(ids), 'asset')}."
        self._write(says, lambda catalog: words.rate(catalog, ids, stars))

    def action_note(self) -> None:
        """Write a note."""
        asset = self.assets.current
        if asset is None:
            self.app.bell()
            return
        number = asset.id

        def noted(text: str | None) -> None:
            if text is not None:
                self._write("Noted.", lambda catalog: words.note(catalog, number, text))

        self.app.push_screen(NoteDialog(asset.name, asset.notes), noted)

    def action_set_kind(self) -> None:
        """Say what files are."""
        self.with_targets(self._set_kind)

    def _set_kind(self, targets: list[Asset]) -> None:
        ids = [asset.id for asset in targets]

        def named(said: dict[str, str] | None) -> None:
            if said:
                what = ", ".join(f"{name} {word or 'as the file says'}" for name, word in said.items())
                says = f"{plural(len(ids), 'asset')}: {one_line(what)}."
                self._write(says, lambda catalog: words.override(catalog, ids, said))

        known = {name for names in self.survey.architectures.values() for name in names if name}
        self.app.push_screen(NamingDialog(targets, known), named)

    # -- files -----------------------------------------------------------------------------------------------------

    def action_trash(self) -> None:
        """Ask, then to the trash."""
        self.with_targets(self._trash)

    def _trash(self, targets: list[Asset]) -> None:
        def asked(yes: bool | None) -> None:
            if yes:
                self.assets.marks = {}
                self._tidy(lambda catalog, job: to_trash(catalog, targets, job))

        self.app.push_screen(trash_question(targets), asked)

    def action_undo(self) -> None:
        """Take back the latest change."""
        self._tidy(lambda catalog, job: undo(catalog, job=job))

    # -- writing ---------------------------------------------------------------------------------------------------

    @background("write", exclusive=False)
    def _write(self, job: WorkerJob, says: str, change: Callable[[Catalog], object]) -> None:
        with self.library.open() as catalog:
            change(catalog)
        job.post(self.Changed(says))

    @background("write", exclusive=False)
    def _tidy(self, job: WorkerJob, change: Callable[[Catalog, WorkerJob], str]) -> None:
        with self.library.open() as catalog:
            says = change(catalog, job)
        job.post(self.Changed(says, seconds=6))

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        self.assets.reload()
        self.refresh_all()
        self.notify(message.says, markup=False, timeout=message.seconds)

    # -- the clipboard ---------------------------------------------------------------------------------------------

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
