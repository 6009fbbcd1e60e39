"""A framed picture with a title, a line under it for what went wrong or looks odd, and a word on what is under way."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from modelhub.text import one_line, printable
from modelhub.tui.pictures.picture import Picture, Pixels


class Frame(Vertical):
    """`title` is what the picture shows, `note` a sentence in its place or under it, `status` a word in the border."""

    title: reactive[str] = reactive("")
    note: reactive[str] = reactive("")
    status: reactive[str] = reactive("")

    def compose(self) -> ComposeResult:
        """Picture over note."""
        yield Picture()
        yield Static(markup=False)

    def watch_title(self, title: str) -> None:
        """The border carries it."""
        self.border_title = Content(one_line(title))

    def watch_status(self, status: str) -> None:
        """The border carries it, too."""
        self.border_subtitle = Content(one_line(status))

    def watch_note(self, note: str) -> None:
        """Shown only when there is something to say."""
        line = self.query_one(Static)
        line.display = bool(note)
        line.update(printable(note))
        self.tooltip = Content(printable(note)) if note else None
        self._share()

    def show(self, pixels: Pixels | None) -> None:
        """Show a picture, or none."""
        self.query_one(Picture).pixels = pixels
        self._share()

    def _share(self) -> None:
        """A note without a picture has all the room."""
        self.set_class(bool(self.note) and self.pixels is None, "-bare")

    @property
    def pixels(self) -> Pixels | None:
        """What is shown."""
        return self.query_one(Picture).pixels
