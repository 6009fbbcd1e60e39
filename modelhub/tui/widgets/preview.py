"""The picture beside a model: read in a thread, small, and as high as its shape asks for."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.text import printable
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.widgets.picture import Pixels

#: Pixels of the longer side: two in each row of the tallest terminal.
_SIDE = 256
#: Seconds that the cursor rests on a model before its picture is read.
_PAUSE = 0.1
_LEAST_ROWS = 6
_SHARE = 0.4
#: One picture is unpacked at a time: a thread cannot be stopped in the middle of one.
_ONE = Lock()


class Preview(Vertical):
    """Shows the picture at `path`, "" for none; one that cannot be read is a line of text. `room`: the pane around."""

    path: reactive[str] = reactive("")
    room: reactive[Size] = reactive(Size())

    @dataclass
    class Loaded(Message):
        """A picture was read, or `note` says why not."""

        path: str
        pixels: Pixels | None
        note: str = ""

    def __init__(self) -> None:
        super().__init__()
        self._pause: Timer | None = None
        self._pixels: Pixels | None = None

    def compose(self) -> ComposeResult:
        """The line; the picture itself comes with the first one there is."""
        yield Static(markup=False)

    def watch_path(self, path: str) -> None:
        """Nothing is shown until the new picture is read."""
        self.workers.cancel_group(self, "picture")
        self._show(None, "")
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, lambda: self._load(path)) if path else None

    @background("picture")
    def _load(self, job: WorkerJob, path: str) -> None:
        from modelhub.formats.images import load_thumbnail

        while not _ONE.acquire(timeout=0.05):
            job.check()
        try:
            job.check()
            job.post(self.Loaded(path, load_thumbnail(path, _SIDE)))
        except ModelhubError as error:
            job.post(self.Loaded(path, None, error.message))
        finally:
            _ONE.release()

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        message.stop()
        if message.path == self.path:
            self._show(message.pixels, message.note)

    def _show(self, pixels: Pixels | None, note: str) -> None:
        self._pixels = pixels
        self.display = pixels is not None or bool(note)
        line = self.query_one(Static)
        line.display = bool(note)
        line.update(printable(note))
        self._draw()

    def watch_room(self) -> None:
        """The picture keeps its share of the pane."""
        self._draw()

    def _draw(self) -> None:
        """Give the picture the rows that its shape asks for, at most its share."""
        self.query("Picture").set(display=self._pixels is not None)
        if self._pixels is None:
            return
        from modelhub.tui.widgets.picture import Picture, fit

        if not self.query(Picture):
            self.mount(Picture(), before=0)
        picture = self.query_one(Picture)
        height, width, _ = self._pixels.shape
        rows = max(_LEAST_ROWS, int(self.room.height * _SHARE))
        picture.styles.height = fit(height, width, max(1, self.room.width), rows)[0] // 2
        picture.pixels = self._pixels
