"""A sheet: a screen that lies over a place for one task, with its title, its jobs and its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from modelhub.text import one_line
from modelhub.tui.jobs.job_line import JobLine
from modelhub.tui.screens.place import NARROW
from modelhub.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp


class Sheet(Screen[None]):
    """A subclass gives its `scope` and its `body`, and tells by `tell` what it shows."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-normal")]  # noqa: RUF012 (Textual's declaration)
    scope: ClassVar[str] = ""

    def body(self) -> ComposeResult:
        """What stands between the title and the keys."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The title, the body, the running jobs, the keys."""
        yield Static(markup=False, id="sheet-title")
        yield from self.body()
        yield JobLine()
        yield KeyBar()

    def tell(self, title: str, more: str = "") -> None:
        """The title, and something behind it."""
        self.query_one("#sheet-title", Static).update(
            Content.assemble((title, "bold"), (f"   {one_line(more)}".rstrip(), "$foreground 70%"))
        )

    @property
    def hub(self) -> ModelhubApp:
        """The app, by its own class."""
        return cast("ModelhubApp", self.app)

    def action_back(self) -> None:
        """Leave."""
        self.dismiss(None)
