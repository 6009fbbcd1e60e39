"""The grid of the merge lab: two axes are asked for, and the unwritten merge is shown over their values, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Label, Static

from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.text import plural, printable
from modelhub.tui.commands.suggestions import CompletingInput
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.lab.cooking_screen import CookingScreen
from modelhub.tui.lab.requests import plain_request
from modelhub.tui.lab.sheet import SheetView
from modelhub.tui.lab.slot import partners
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.tui.lab.grids import GridWish, Sheet
    from modelhub.tui.pictures.picture import Pixels

_HELP = (
    "NAME=VALUES, such as alpha=0-1[5] (five values, evenly spaced), seed=1-4, cfg=3,7, IN04=0,0.5,1 (a block), "
    "B=NAME,NAME (other models as B), sampler=Euler,DDIM, prompt=red,green (each in place of the first), "
    "lora:NAME=0-1[3]."
)
#: Pictures that take a while.
_MANY = 30
Read = Callable[[str, str], "GridWish"]


class GridDialog(ModalScreen["GridWish | None"]):
    """Asks for two axes and says how many pictures they make; `read` is asked for every letter that is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", show=False, id="grid.cancel")]

    def __init__(self, x: str, y: str, read: Read, suggester: Suggester) -> None:
        super().__init__()
        self._x, self._y, self._read, self._suggester = x, y, read, suggester

    def compose(self) -> ComposeResult:
        """Two lines between what they are and what comes of them."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "A grid of the unwritten merge"
            yield Static(_HELP, markup=False, classes="help")
            yield Label("from left to right")
            yield CompletingInput(self._x, suggester=self._suggester, compact=True, select_on_focus=False, id="x")
            yield Label("from top to bottom")
            yield CompletingInput(self._y, suggester=self._suggester, compact=True, select_on_focus=False, id="y")
            yield Static(id="count", markup=False, classes="help")
            yield Static("enter renders · tab completes · escape leaves", markup=False, classes="keys")

    def wish(self) -> GridWish:
        """What is asked for. Raises UsageError, BadRecipeError."""
        return self._read(*(self.query_one(f"#{name}", Input).value for name in "xy"))

    @on(Input.Changed)
    def _count(self) -> None:
        """How many pictures, or what is wrong."""
        line = self.query_one("#count", Static)
        try:
            wish = self.wish()
        except ModelhubError as error:
            line.update(printable(f"{error.message} {error.hint}"))
            line.set_class(True, "-wrong")
            return
        count = len(wish.cells)
        long = "; that takes a while, and escape stops it" if count >= _MANY else ""
        line.update(f"{plural(count, 'picture')}: {len(wish.x)} × {len(wish.y)}{long}.")
        line.set_class(False, "-wrong")

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self.dismiss(self.wish())
        except ModelhubError:
            self.app.bell()


class GridScreen(CookingScreen):
    """A place that renders grids of its recipe."""

    @dataclass
    class Painted(Message):
        """A picture of a grid is done."""

        wish: GridWish
        column: int
        row: int
        pixels: Pixels

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._wish: GridWish | None = None
        self._sheet: Sheet | None = None
        self._painting: JobRecord | None = None
        self._done = 0
        self._said = ("", "")

    @property
    def sheet(self) -> SheetView:
        """The table of pictures."""
        return self.query_one(SheetView)

    def action_grid(self) -> None:
        """Ask for axes, and render."""
        from modelhub.tui.lab.axis_suggester import AxisSuggester
        from modelhub.tui.lab.grids import grid_wish

        try:
            (recipe, file), request = self.asked(), self.form.request()
        except ModelhubError as error:
            self.explain(error)
            return

        def read(x: str, y: str) -> GridWish:
            self._said = x, y
            return grid_wish(recipe, file, request, x, y)

        def asked(wish: GridWish | None) -> None:
            if wish is not None:
                self._paint(wish)

        x, y = self._said if any(self._said) else self._usual(request.seed)
        suggester = AxisSuggester(self.library, recipe, partners(self.form.assets))
        self.app.push_screen(GridDialog(x, y, read, suggester), asked)

    def _usual(self, seed: int) -> tuple[str, str]:
        """The parameter that matters most over two seeds; where nothing is merged, four seeds."""
        parameter = None if self.form.bakes else self.form.block_parameter
        if parameter is None:
            return f"seed={seed}-{seed + 3}", ""
        return f"{parameter.name}={parameter.low:g}-{parameter.high:g}[5]", f"seed={seed}-{seed + 1}"

    def _paint(self, wish: GridWish) -> None:
        self.stop_painting()
        self.stove.forget()  # a grid has a renderer of its own
        self._wish, self._sheet, self._done = wish, None, 0
        self.sheet.begin(wish.x, wish.y)
        self.set_class(True, "-sheet")
        self._title()
        self.sheet.focus()
        self._painting = self.jobs.start(
            f"Grid {wish.title}",
            partial(self._paint_all, wish, self.settings.device),
            place=self.scope,
            lane="rendering",
            says=lambda sheet: f"{plural(len(wish.cells), 'picture')}; i saves the sheet.",
            then=self._painted_all,
            over=self._over,
        )

    def _paint_all(self, wish: GridWish, device: str, job: Job) -> Sheet:
        """In a thread: every picture, then the sheet."""
        from modelhub.tui.lab.grids import paint_grid, sheet_of

        painted = {}
        for one in paint_grid(self.library, wish, device, job):
            column, row, _ = one.cell.place
            painted[one.cell.place] = one
            self.post_message(self.Painted(wish, column, row, one.picture.pixels))
        sheet = sheet_of(wish, painted)
        plain = plain_request(wish.request)
        self.note(job, "grid", f"grid {wish.title}", wish.recipe, request=plain, carrier=wish.file, pixels=sheet.pixels)
        return sheet

    @on(Painted)
    def _painted(self, message: Painted) -> None:
        if message.wish is self._wish:
            self._done += 1
            self.sheet.put(message.column, message.row, message.pixels)
            self._title()

    def _painted_all(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def _over(self, record: JobRecord) -> None:
        if record is self._painting and record.state is not State.DONE:
            self._title(record.state.value)

    def _title(self, more: str = "") -> None:
        if self._wish is not None:
            words = [f"{self._done}/{len(self._wish.cells)}", *([more] if more else [])]
            self.sheet.border_title = Content(f"{self._wish.title}  {' · '.join(words)}")
            self.sheet.border_subtitle = Content("i saves it · escape closes it")

    @property
    def has_sheet(self) -> bool:
        """Whether a grid is shown."""
        return self.has_class("-sheet")

    def close_sheet(self) -> None:
        """Back to the frames."""
        self.set_class(False, "-sheet")

    def stop_painting(self) -> bool:
        """Ask the grid to stop; False if there is none."""
        record = self._painting
        if record is None or not record.is_open:
            return False
        self.jobs.cancel(record)
        return True

    def action_picture(self) -> None:
        """Save the grid that is shown, else the pictures of the merge."""
        sheet = self._sheet
        if not self.has_sheet:
            super().action_picture()
        elif sheet is None:
            self.notify("The grid is not whole yet.", markup=False, timeout=4)
        else:
            self.ask_picture("grid", partial(_write, sheet))


def _write(sheet: Sheet, path: Path) -> str:
    from modelhub.formats.images import save_png
    from modelhub.tui.lab.kitchen import without_force

    with without_force():
        return save_png(path, sheet.pixels, sheet.infotext).name
