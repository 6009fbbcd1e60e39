"""The files of the convert place: how they come into its list, and out of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.text import plural
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.convert import batch as converting
from modelhub.tui.convert.batch import Entry, Source
from modelhub.tui.convert.file_list import ConvertList
from modelhub.tui.convert.form import ConvertForm
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.place import Place
from modelhub.tui.work import WorkerJob, background

_ADD = "A file, a folder of models, a diffusers folder, or an asset by its name, #id or hash."
_NO_ASSETS = "There is nothing in the library yet.\n\nB scans a folder."


class ConvertFiles(Place):
    """A place with a list of files; a subclass gives `files`, `form`, `look_soon`, `is_running_job`."""

    @dataclass
    class Found(Message):
        """Files for the list; `quiet`: nobody asked for them just now."""

        sources: list[Source]
        quiet: bool = False

    @property
    @abstractmethod
    def files(self) -> ConvertList:
        """The files."""

    @property
    @abstractmethod
    def form(self) -> ConvertForm:
        """What is to be done with them."""

    @property
    @abstractmethod
    def is_running_job(self) -> bool:
        """Whether files of the list are being written."""

    @abstractmethod
    def look_soon(self) -> None:
        """Look at the files, once the user pauses."""

    # -- into the list -------------------------------------------------------------------------------------------------

    def take(self, assets: Sequence[Asset]) -> None:
        """Put assets into the list; the cursor goes to the first of them."""
        self._join([Source(asset.path, asset) for asset in assets])

    def _join(self, sources: Sequence[Source], *, quiet: bool = False) -> None:
        there = self.files.places
        fresh = [Entry(source) for source in {one.path: one for one in sources}.values() if source.path not in there]
        fresh = fresh[: max(0, converting.MOST - len(there))]
        first = there.get(sources[0].path, len(there)) if sources else 0
        self.files.show([*self.files.entries, *fresh])
        if not quiet:
            self.files.cursor = first
            full = any(one.path not in self.files.places for one in sources)
            says = f"{plural(len(fresh), 'file')} added." if fresh else "" if full else "It is in the list already."
            says = f"{says} The list is full: X takes off what is over.".strip() if full else says
            self.notify(says, markup=False, timeout=2)
        self.look_soon()

    def bring_back_files(self) -> None:
        """The files of the list before the restart."""
        kept = self.remembered.get("files")
        paths = [path for path in kept if isinstance(path, str) and path] if isinstance(kept, list) else []
        if paths:
            self._remembered_files(paths[: converting.KEPT])

    @background("files")
    def _remembered_files(self, job: WorkerJob, paths: list[str]) -> None:
        job.post(self.Found(converting.known_sources(self.library, paths), quiet=True))

    @on(Found)
    def _found(self, message: Found) -> None:
        self._join(message.sources, quiet=message.quiet)

    def action_add(self) -> None:
        """Ask for a file or a folder."""

        def asked(text: str | None) -> None:
            if text:
                self._add(text)

        self.app.push_screen(AskDialog("Add files", _ADD, placeholder="~/models/old.ckpt"), asked)

    @background("files", exclusive=False)
    def _add(self, job: WorkerJob, text: str) -> None:
        job.post(self.Found(converting.sources_of(self.library, text, job)))

    def action_pickles(self) -> None:
        """Every pickle of the library."""
        self._pickles()

    @background("files", exclusive=False)
    def _pickles(self, job: WorkerJob) -> None:
        job.post(self.Found(converting.pickles(self.library)))

    def action_pick(self) -> None:
        """Choose an asset."""

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.take([asset])

        self.app.push_screen(PickDialog(self.library, "Add an asset", "-missing:yes", _NO_ASSETS), picked)

    @on(ConvertForm.PickDonor)
    def _pick_donor(self) -> None:
        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.form.take_donor(asset)

        self.app.push_screen(PickDialog(self.library, "Take tensors from", "-missing:yes", _NO_ASSETS), picked)

    # -- out of the list -----------------------------------------------------------------------------------------------

    def action_remove(self) -> None:
        """Take the file under the cursor off the list."""
        entry = self.files.current
        if entry is None or entry.runs:
            self.app.bell()
            return
        self._keep([one for one in self.files.entries if one is not entry])

    def action_clear(self) -> None:
        """Take what is over off the list, else everything that is not at work."""
        over = [entry for entry in self.files.entries if not entry.is_over]
        self._keep(over if len(over) < self.files.count else [entry for entry in self.files.entries if entry.runs])

    def _keep(self, entries: list[Entry]) -> None:
        """Names that were taken may be free now, so the others are looked at again."""
        self.files.show(entries)
        self.look_soon()
