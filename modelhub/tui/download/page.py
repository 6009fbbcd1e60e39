"""A page of the place of downloads: a table with its own keys, in the one screen of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.containers import Vertical

from modelhub.tui.download.table import Table
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from modelhub.errors import ModelhubError
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.download.running import QueueRunner
    from modelhub.tui.download.screen import DownloadScreen


class Page(Vertical):
    """A subclass has a table, and says by `chosen` what a double click does."""

    scope: ClassVar[str] = ""

    def __init__(self, library: Library) -> None:
        super().__init__(id=self.scope)
        self.library = library

    @property
    def table(self) -> Table[Any]:
        """The table of the page."""
        return self.query_one(Table)

    @property
    def hub(self) -> ModelhubApp:
        """The app, by its own class."""
        return cast("ModelhubApp", self.app)

    @property
    def place(self) -> DownloadScreen:
        """The screen that it is a page of."""
        return cast("DownloadScreen", self.screen)

    @property
    def runner(self) -> QueueRunner:
        """The one runner of the queue."""
        return self.place.runner

    def opened(self) -> None:
        """The page was gone to."""

    def chosen(self) -> None:
        """A row was chosen by the mouse."""

    def explain(self, error: ModelhubError) -> None:
        """Show an error with its next step, in the keys of this place; who is elsewhere by now gets a notice."""
        from modelhub.tui.download.words import explained

        said = explained(error)
        if self.hub.here == self.place.scope:
            self.hub.explain(said)
        else:
            self.hub.notify(f"{said.message} {said.hint}".strip(), severity="error", markup=False)

    def say(self, text: str, *, warn: bool = False) -> None:
        """A notice."""
        self.app.notify(text, severity="warning" if warn else "information", markup=False)

    def action_mark(self) -> None:
        """Mark and go on."""
        self.table.toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all, or none."""
        self.table.mark_all()

    @on(LineList.Chosen)
    def _chosen(self, message: LineList.Chosen) -> None:
        message.stop()
        self.chosen()
