"""The pictures beside a model, one at a time: read in a thread, small, and as high as their shape asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
from modelhub.text import one_line, printable
from modelhub.tui.pictures.graphics import side_in
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.pictures.picture import Pixels

#: Seconds that the cursor rests on a model before its picture is read.
_PAUSE = 0.1
_LEAST_ROWS = 6
_SHARE = 0.4
#: One picture is unpacked at a time: a thread cannot be stopped in the middle of one.
_ONE = Lock()


class Preview(Vertical):
    """Shows the picture at `path`, "" for none; one that cannot be read is a line of text. `room`: the pane around.

    `model` is the file that it is beside: there may be others, which `show_next` goes through.
    """

    path: reactive[str] = reactive("")
    room: reactive[Size] = reactive(Size())

    @dataclass
    class Loaded(Message):
        """A picture was read, or `note` says why not."""

        path: str
        pixels: Pixels | None
        note: str = ""
        others: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.model: Path | None = None
        self._others: tuple[str, ...] = ()
        self._at = 0
        self._pause: Timer | None = None
        self._pixels: Pixels | None = None

    def compose(self) -> ComposeResult:
        """The line; the picture itself comes with the first one there is."""
        yield Static(markup=False)
        yield Static(markup=False, classes="caption")

    def watch_path(self, path: str) -> None:
        """Nothing is shown until the new picture is read."""
        self.workers.cancel_group(self, "picture")
        self._others, self._at = (), 0
        if self._pause is not None:
            self._pause.stop()
        comes = bool(path and side_in(self.app))
        self._clear(keep=comes)
        self._pause = self.set_timer(_PAUSE, lambda: self._load(path, path, self.model)) if comes else None

    def _clear(self, *, keep: bool) -> None:
        """No picture; one that another will follow leaves its room to it, so that the text below does not jump."""
        if not keep or self._pixels is None:
            self._show(None, "")
            return
        from modelhub.tui.pictures.picture import Picture

        self.query_one(Picture).pixels = None
        self.query(".caption").set(display=False)

    def show_next(self) -> bool:
        """The next of several pictures; False where there is no other."""
        if len(self._others) < 2:
            return False
        self._at = (self._at + 1) % len(self._others)
        self._load(self.path, self._others[self._at], None)
        return True

    @background("picture")
    def _load(self, job: WorkerJob, path: str, shown: str, model: Path | None) -> None:
        """Read the picture `shown` of those that belong to `path`; beside `model` others are looked for."""
        from modelhub.formats.images import load_thumbnail

        while not _ONE.acquire(timeout=0.05):
            job.check()
        others: tuple[str, ...] = ()
        try:
            job.check()
            others = _beside(model, path) if model is not None else ()
            job.post(self.Loaded(path, load_thumbnail(shown, side_in(self.app)), others=others))
        except ModelhubError as error:
            job.post(self.Loaded(path, None, error.message, others))
        finally:
            _ONE.release()

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        message.stop()
        if message.path == self.path:
            self._others = message.others or self._others
            self._show(message.pixels, message.note)

    def _show(self, pixels: Pixels | None, note: str) -> None:
        self._pixels = pixels
        self.display = pixels is not None or bool(note)
        line, caption = self.query(Static)
        line.display = bool(note)
        line.update(printable(note))
        caption.display = len(self._others) > 1
        if caption.display:
            name = one_line(Path(self._others[self._at]).name)
            caption.update(f"{self._at + 1} of {len(self._others)} · p shows the next · {name}")
        self._draw()

    def watch_room(self) -> None:
        """The picture keeps its share of the pane."""
        self._draw()

    def _draw(self) -> None:
        """Give the picture the rows that its shape asks for, at most its share."""
        self.query("Picture").set(display=self._pixels is not None)
        if self._pixels is None:
            return
        from modelhub.tui.pictures.picture import Picture, fit

        if not self.query(Picture):
            self.mount(Picture(), before=0)
        picture = self.query_one(Picture)
        height, width, _ = self._pixels.shape
        rows = max(_LEAST_ROWS, int(self.room.height * _SHARE))
        picture.styles.height = fit(height, width, max(1, self.room.width), rows)[0] // 2
        picture.pixels = self._pixels


def _beside(model: Path, first: str) -> tuple[str, ...]:
    """The pictures beside a model, `first` at their head. Raises FileError when the folder cannot be listed."""
    from modelhub.formats.sidecars.files import sidecars_of, stem_of
    from modelhub.formats.sidecars.previews import pictures_of

    found = pictures_of(stem_of(model), sidecars_of(model)) if model.parent.is_dir() else []
    return tuple(dict.fromkeys([first, *map(str, found)]))
