"""The folders of the settings: add, remove, scan again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button

from modelhub.catalog.remembered import RememberedFolder, remembered_folders
from modelhub.text import plural
from modelhub.tui.browse.scanning import ask_folder, start_scan
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.screens.place import Place
from modelhub.tui.settings.folder_list import FolderList
from modelhub.tui.work import WorkerJob, background


class FoldersPane(Vertical):
    """The list of folders over its buttons."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", id="folders.add"),
        Binding("x,delete", "remove", "Remove", id="folders.remove"),
        Binding("r", "rescan(False)", "Rescan", id="folders.rescan"),
        Binding("R", "rescan(True)", "Rescan all", id="folders.rescan_all"),
    ]

    @dataclass
    class Known(Message):
        """The folders that there are."""

        folders: list[RememberedFolder]

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library

    def compose(self) -> ComposeResult:
        """List and buttons."""
        yield FolderList(id="folders")
        with Horizontal(classes="buttons"):
            yield Button("Add", variant="primary", compact=True, id="add")
            yield Button("Remove", compact=True, id="remove")
            yield Button("Rescan", compact=True, id="rescan")
            yield Button("Rescan all", compact=True, id="rescan-all")

    def on_mount(self) -> None:
        """Look what there is."""
        self.look()

    @property
    def list(self) -> FolderList:
        """The folders."""
        return self.query_one(FolderList)

    @property
    def _place(self) -> Place:
        return cast(Place, self.screen)

    @background("folders")
    def look(self, job: WorkerJob) -> None:
        """Count again, and look whether the folders are there."""
        with self._library.open() as catalog:
            job.post(self.Known(remembered_folders(catalog)))

    @on(Known)
    def _known(self, message: Known) -> None:
        self.list.show(message.folders)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        {
            "add": self.action_add,
            "remove": self.action_remove,
            "rescan": lambda: self.action_rescan(False),
            "rescan-all": lambda: self.action_rescan(True),
        }[event.button.id or ""]()

    def action_add(self) -> None:
        """Ask for a folder and scan it."""
        ask_folder(self._place, lambda folder: self._scan((folder,)))

    def action_remove(self) -> None:
        """Ask, then remember it no more."""
        one = self.list.current
        if one is None:
            self.app.bell()
            return
        text = (
            f"{one.path} is scanned no more. Its {plural(one.assets, 'asset')} stay in the catalog; no file is touched."
        )
        confirm(self, "Remove a folder", text, "Remove it", lambda: self._forget(one.path))

    @background("forget", exclusive=False)
    def _forget(self, job: WorkerJob, path: Path) -> None:
        with self._library.open() as catalog:
            catalog.remove_root(path)
            job.post(self.Known(remembered_folders(catalog)))

    def action_rescan(self, everything: bool) -> None:
        """The folder under the cursor, or all of them."""
        one = self.list.current
        if one is None:
            self.action_add()
        else:
            self._scan(() if everything else (one.path,))

    def _scan(self, folders: Sequence[Path]) -> None:
        start_scan(self._place, folders, lambda _: self._scanned())

    def _scanned(self) -> None:
        if self.is_mounted:
            self.look()

    def on_show(self, event: events.Show) -> None:
        """What was scanned elsewhere is seen."""
        self.look()
