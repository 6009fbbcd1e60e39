"""The trash: what was moved there and when, to be brought back or deleted for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from modelhub.errors import UsageError
from modelhub.jobs import Job
from modelhub.organize.emptying import Trashed, contents, empty, select
from modelhub.organize.undo import undo
from modelhub.text import human_size, one_line, plural
from modelhub.tui.actions import bindings
from modelhub.tui.filing.trash_list import TrashList
from modelhub.tui.screens.dialogs import AskDialog, confirm
from modelhub.tui.screens.sheet import Sheet
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.tui.browse.targets import TargetsScreen

_NOTHING = (
    "The trash is empty.\n\nx in the library moves there what is marked;\nnothing is deleted before you empty it."
)
_NAMED = 8


class TrashScreen(Sheet):
    """Every line is one move to the trash, with all files that went together."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("trash")]
    AUTO_FOCUS = "#trash-list"
    scope: ClassVar[str] = "trash"

    @dataclass
    class Found(Message):
        """What is in the trash."""

        entries: Sequence[Trashed]

    def __init__(self, place: TargetsScreen) -> None:
        super().__init__()
        self._place = place

    def body(self) -> ComposeResult:
        """The list."""
        yield TrashList(id="trash-list")

    def on_mount(self) -> None:
        """Look at once."""
        self.tell("Trash", "looking…")
        self._look()

    @property
    def list(self) -> TrashList:
        """The lines."""
        return self.query_one(TrashList)

    @background("trash")
    def _look(self, job: WorkerJob) -> None:
        with self._place.library.open() as catalog:
            job.post(self.Found(contents(catalog)))

    @on(Found)
    def _show(self, message: Found) -> None:
        self.list.empty = _NOTHING
        self.list.show(message.entries)
        self.tell("Trash", _counted(message.entries) if message.entries else "")

    # -- back ----------------------------------------------------------------------------------------------------------

    def action_restore(self) -> None:
        """The files of this line go back to where they were."""
        if (entry := self.list.current) is None:
            self.app.bell()
        else:
            self._run("Bring back", lambda catalog, job: undo(catalog, entry.entry, job))

    def _run(self, title: str, work: Callable[[Catalog, Job], str]) -> None:
        self._place.run_job(title, work, then=lambda _: self._again())

    def _again(self) -> None:
        if self.is_mounted:
            self._look()

    # -- for good ------------------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        """Ask, and delete the files of this line."""
        if (entry := self.list.current) is None:
            self.app.bell()
        elif not entry.complete:
            self.notify("This move was interrupted: bring it back first.", severity="warning", markup=False)
        else:
            self._ask([entry])

    def action_empty(self) -> None:
        """Ask, and delete everything."""
        self._ask([entry for entry in self.list.entries if entry.complete])

    def action_empty_old(self) -> None:
        """Ask for days, and delete what has been there for so long."""
        what = "Days that something must have been in the trash to be deleted for good."

        def asked(text: str | None) -> None:
            if text is not None:
                self._ask_older(text)

        self.app.push_screen(AskDialog("Empty old", what, "30"), asked)

    def _ask_older(self, text: str) -> None:
        try:
            days = float(text)
        except ValueError:
            days = -1.0
        if not 0 <= days < 1e6:
            self.hub.explain(UsageError(f"'{one_line(text)}' is not a number of days.", "Type one such as 30."))
            return
        before = time.time() - days * 86_400
        self._ask([entry for entry in self.list.entries if entry.complete and entry.at <= before])

    def _ask(self, entries: Sequence[Trashed]) -> None:
        if not entries:
            self.notify("There is nothing of that in the trash.", markup=False, timeout=3)
            return
        numbers = [entry.entry for entry in entries]
        names = [one_line(path.name) for entry in entries for path in entry.assets.values()]
        more = [f"and {plural(len(names) - _NAMED, 'more', 'more')}"] if len(names) > _NAMED else []
        text = "\n".join([*names[:_NAMED], *more, "", f"{_counted(entries)}. This cannot be undone."])

        def delete() -> None:
            self._run("Empty the trash", lambda catalog, job: _emptied(catalog, numbers, job))

        confirm(self, "Delete for good", text, f"Delete {plural(len(names), 'asset')}", delete)


def _emptied(catalog: Catalog, numbers: Sequence[int], job: Job) -> str:
    """Delete entries as they are now."""
    gained = empty(catalog, select(catalog, numbers), job)
    return f"Deleted, and freed {human_size(gained)}."


def _counted(entries: Sequence[Trashed]) -> str:
    assets, files = sum(len(one.assets) for one in entries), sum(len(one.files) for one in entries)
    return f"{plural(assets, 'asset')}, {plural(files, 'file')}, {human_size(sum(one.freed for one in entries))}"
