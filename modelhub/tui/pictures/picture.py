"""A picture in the terminal: half-blocks at once, then kitty's graphics or sixel as soon as a thread has made them."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from modelhub.tui.pictures import picture_kitty, picture_sixel
from modelhub.tui.pictures.graphics import Graphics, Way
from modelhub.tui.pictures.picture_blocks import Pixels, fit, fit_cells, half_blocks, resize
from modelhub.tui.work import Done, Failed, WorkerJob, background

__all__ = ["Picture", "Pixels", "fit", "half_blocks", "resize"]

_GROUP = "graphic"


@dataclass(frozen=True)
class Wanted:
    """A picture, told apart by its number among those of the widget, in so many cells of `cell` pixels."""

    way: Way
    turn: int
    columns: int
    rows: int
    cell: tuple[int, int]

    def is_as_large_as(self, other: Wanted) -> bool:
        """Whether only the picture differs."""
        return (self.way, self.columns, self.rows, self.cell) == (other.way, other.columns, other.rows, other.cell)


@dataclass(frozen=True)
class Graphic:
    """A picture as the terminal takes it: `text` sends or paints it; that of kitty has a number, and lines for it."""

    wanted: Wanted
    text: str
    number: int = 0
    lines: tuple[Strip, ...] = ()


class Picture(Widget):
    """A picture of uint8 [H,W,3] in the middle of the widget, as large as it can be; None shows nothing."""

    ALLOW_SELECT = False
    pixels: reactive[Pixels | None] = reactive(None, always_update=True, repaint=False)

    @dataclass
    class Made(Message):
        """A thread has made what the terminal takes."""

        graphic: Graphic

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Strip] = []
        self._drawn: tuple[object, ...] = ()
        self._graphic: Graphic | None = None
        self._making: Wanted | None = None
        self._turn = 0

    # -- what is shown -------------------------------------------------------------------------------------------------

    def watch_pixels(self, pixels: Pixels | None) -> None:
        """Draw anew; a graphic stays until that of the new picture is made, if it takes the same cells."""
        self._turn += 1
        wanted = self._wanted()
        if wanted is None or self._graphic is None or not self._graphic.wanted.is_as_large_as(wanted):
            self._drop()
            self.refresh()
        else:
            self._make_wanted()

    def render_lines(self, crop: Region) -> list[Strip]:
        """As every widget, but lines of another way to show the picture are not kept."""
        before = self._drawn
        self._current()
        if self._drawn != before:
            self._styles_cache.clear()
        if self._graphic is None and self._wanted() is not None:
            self.call_later(self._make_wanted)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Line `y`: the picture's cells between blanks."""
        columns, rows = self.size
        lines = self._current()
        top = (rows - len(lines)) // 2
        if not top <= y < top + len(lines):
            return Strip.blank(columns, self.rich_style)
        line = lines[y - top]
        left = (columns - line.cell_length) // 2
        right = columns - left - line.cell_length
        return Strip.join([Strip.blank(left, self.rich_style), line, Strip.blank(right, self.rich_style)])

    def _current(self) -> list[Strip]:
        """The lines, computed once for all that they depend on."""
        shown = (self.size, self._turn, self._way, self._graphic, self.screen.is_active)
        if shown != self._drawn:
            self._drawn, self._lines = shown, self._draw(*self.size)
        return self._lines

    def _draw(self, columns: int, rows: int) -> list[Strip]:
        """The lines for a size: those that stand for a graphic, else half-blocks in the same place."""
        pixels, way = self.pixels, self._way
        if pixels is None or not pixels.size or not columns or not rows or way == "off":
            return []
        graphic = self._seen
        if graphic is not None and graphic.lines:
            return list(graphic.lines)
        if way == "blocks":
            tall, wide = fit(pixels.shape[0], pixels.shape[1], columns, rows)
            return half_blocks(resize(pixels, tall, wide))
        wide, rows = fit_cells(pixels, min(columns, _MOST), min(rows, _MOST), self._graphics.cell)
        return half_blocks(resize(pixels, 2 * rows, wide))

    @property
    def _seen(self) -> Graphic | None:
        """The graphic, if it is how to show the picture now: a dialog above would dim the colours that number it."""
        graphic = self._graphic
        return graphic if graphic is not None and graphic.wanted.way == self._way and self.screen.is_active else None

    @property
    def _graphics(self) -> Graphics:
        """What the terminal can do."""
        found = getattr(self.app, "graphics", None)
        return found if isinstance(found, Graphics) else _NONE

    @property
    def _way(self) -> Way:
        """How pictures are shown at present."""
        return self._graphics.way(getattr(getattr(self.app, "settings", None), "pictures", "auto"))

    # -- graphics ------------------------------------------------------------------------------------------------------

    def painting(self) -> tuple[str, Region] | None:
        """The sixels and where on the screen they belong, if nothing is in their way."""
        graphic = self._seen
        if graphic is None or graphic.lines:
            return None
        area, wide, tall = self.content_region, graphic.wanted.columns, graphic.wanted.rows
        place = Region(area.x + (area.width - wide) // 2, area.y + (area.height - tall) // 2, wide, tall)
        return (graphic.text, place) if picture_sixel.is_open(self.screen, self, place) else None

    def _wanted(self) -> Wanted | None:
        """The graphic that belongs here, if any does."""
        columns, rows = self.size
        way, pixels = self._way, self.pixels
        if way not in ("kitty", "sixel") or pixels is None or not pixels.size or not columns or not rows:
            return None
        cell = self._graphics.cell
        return Wanted(way, self._turn, *fit_cells(pixels, min(columns, _MOST), min(rows, _MOST), cell), cell)

    def _make_wanted(self) -> None:
        """Have the graphic made that belongs here, one at a time."""
        wanted, pixels = self._wanted(), self.pixels
        if wanted is None or pixels is None or self._making or not self.is_attached:
            return
        if self._graphic is None or self._graphic.wanted != wanted:
            self._making = wanted
            self._make(wanted, pixels)

    @background(_GROUP)
    def _make(self, job: WorkerJob, wanted: Wanted, pixels: Pixels) -> None:
        job.post(self.Made(_made(wanted, pixels)))

    @on(Made)
    def _take(self, message: Made) -> None:
        """Show a graphic, unless there is no place for it any more, and go on to a newer one."""
        message.stop()
        self._making, graphic, wanted = None, message.graphic, self._wanted()
        if wanted is not None and graphic.wanted.is_as_large_as(wanted):
            self._drop()
            self._graphic = graphic
            if graphic.number:
                self._write(graphic.text)
            else:
                self._graphics.painters.add(self)
            self.refresh()
        self._make_wanted()

    def _drop(self) -> None:
        """Forget the graphic; kitty's is taken back when others stand in its place."""
        old, self._graphic = self._graphic, None
        self._graphics.painters.discard(self)
        if old is not None and old.number:
            self.call_after_refresh(self._write, picture_kitty.forget(old.number))

    def _write(self, text: str) -> None:
        """Straight to the terminal."""
        if self.app._driver is not None:
            self.app._driver.write(text)

    @on(Failed)
    def _fell_through(self, message: Failed) -> None:
        """No graphics after all: half-blocks are there already."""
        message.stop()
        self.log.error(message.error.message)
        if self._making is not None:
            self._graphics.failed.add(self._making.way)
        self._making = None
        self._drop()
        self.refresh()

    @on(Done)
    def _thread_ended(self, message: Done) -> None:
        """Of no interest to anybody."""
        message.stop()

    def on_resize(self) -> None:
        """A graphic has one size."""
        wanted = self._wanted()
        if self._graphic is not None and (wanted is None or not self._graphic.wanted.is_as_large_as(wanted)):
            self._drop()
            self.refresh()

    def on_unmount(self) -> None:
        """Leave nothing in the terminal's memory."""
        if self._graphic is not None and self._graphic.number:
            self._write(picture_kitty.forget(self._graphic.number))


_NONE = Graphics()
#: Columns and rows that kitty's marks can number.
_MOST = len(picture_kitty.MARKS)


def _made(wanted: Wanted, pixels: Pixels) -> Graphic:
    """The graphic of uint8 [H,W,3], no larger than it is shown."""
    width, height = wanted.columns * wanted.cell[0], wanted.rows * wanted.cell[1]
    if wanted.way == "sixel":
        return Graphic(wanted, picture_sixel.encode(pixels, width, height))
    number, (tall, wide, _) = picture_kitty.new_number(), pixels.shape
    small = resize(pixels, min(tall, height), min(wide, width))
    lines = picture_kitty.cells(number, wanted.columns, wanted.rows)
    return Graphic(wanted, picture_kitty.send(number, small, wanted.columns, wanted.rows), number, tuple(lines))
