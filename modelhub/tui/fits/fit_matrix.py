"""The matrix of the fits screen: a line for each LoRA, a column for each model, and a sign where they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import SIGNS, VERDICTS, Verdict
from modelhub.text import width
from modelhub.tui.fits.fit_facts import LOOKS
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

#: Columns of the names of LoRAs at most, and of a model at least and at most.
_NAMES, _LEAST, _MOST = 36, 4, 18


class Row(NamedTuple):
    """A LoRA, and for each model the rank of the verdict."""

    lora: Asset
    verdicts: bytes


class MatrixList(LineList):
    """Rows as they are answered. `column` is the model under the cursor."""

    header = 2
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "walk(-1)", "Left", show=False, id="matrix.left"),
        Binding("right,l", "walk(1)", "Right", show=False, id="matrix.right"),
        Binding("shift+left", "walk(-10000)", "First model", show=False, id="matrix.first"),
        Binding("shift+right", "walk(10000)", "Last model", show=False, id="matrix.last"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("good", "warn", "bad", "muted", "heading", "here")
    }

    column: reactive[int] = reactive(0)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.models: Sequence[Asset] = ()
        self._rows: list[Row] = []
        self._counts: Counter[int] = Counter()
        self._names = 8

    # -- what is in it -------------------------------------------------------------------------------------------------

    @property
    def current(self) -> tuple[Asset, Asset] | None:
        """The LoRA and the model under the cursor."""
        if self.cursor >= len(self._rows) or self.column >= len(self.models):
            return None
        return self._rows[self.cursor].lora, self.models[self.column]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many pairs have each verdict."""
        return {VERDICTS[rank]: count for rank, count in self._counts.items()}

    def add(self, rows: Iterable[Row]) -> None:
        """More rows at the end."""
        new = list(rows)
        first = not self._rows
        self._rows += new
        for row in new:
            self._counts.update(row.verdicts)
        longest = max((width(_name(row.lora)) for row in new), default=0)
        self._names = min(_NAMES, max(self._names, longest + 2))
        self.count = len(self._rows)
        if first and new:
            self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def validate_column(self, column: int) -> int:
        """The nearest model there is."""
        return max(0, min(column, len(self.models) - 1))

    def watch_column(self) -> None:
        """Draw, and tell who listens."""
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def action_walk(self, by: int) -> None:
        """To another model."""
        self.column += by

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The model under the mouse."""
        left, wide, first = self._layout(self.size.width)
        if self._row_at(event) is not None and event.x >= left:
            self.column = first + (event.x - left) // wide

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _layout(self, room: int) -> tuple[int, int, int]:
        """Columns of the names and of a model, and the first model that is drawn."""
        left = min(self._names, max(8, room * 2 // 5))
        count = max(1, len(self.models))
        wide = max(_LEAST, min(_MOST, (room - left) // count))
        seen = max(1, (room - left) // wide)
        return left, wide, max(0, min(self.column - seen // 2, count - seen))

    def _seen(self, room: int) -> range:
        """The models that are drawn."""
        left, wide, first = self._layout(room)
        return range(first, min(len(self.models), first + max(1, (room - left) // wide)))

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """The model under the cursor, and over the columns their names, or their numbers where there is no room."""
        look = self.rich_style + self.get_component_rich_style("list--heading")
        here = look + ink(self, "list--here")
        if not self.models:
            return [Segment(" " * width, look)]
        if y == 0:
            model = self.models[self.column]
            text = f" {self.column + 1} of {len(self.models):,}  {model.path.stem}  {model.architecture or ''}"
            return [Segment(cell(text, width), here)]
        left, wide, _ = self._layout(width)
        cells = [
            Segment(_head(self.models[at], at, wide), here if at == self.column else look) for at in self._seen(width)
        ]
        return [Segment(" " * left, look), *cells, Segment(" " * width, look)]

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """The LoRA, and the signs."""
        row = self._rows[number]
        left, wide, _ = self._layout(width)
        return [
            Segment(cell(f" {_name(row.lora)}", left - 1) + " ", style),
            *(self._cell(row, number, at, wide, style) for at in self._seen(width)),
        ]

    def _cell(self, row: Row, number: int, at: int, wide: int, style: Style) -> Segment:
        verdict = VERDICTS[row.verdicts[at]]
        look = style + ink(self, f"list--{LOOKS[verdict]}")
        if number == self.cursor and at == self.column:
            look += Style(reverse=True)
        return Segment(SIGNS[verdict].center(wide), look)


def _name(lora: Asset) -> str:
    return lora.name.removesuffix(".safetensors")


def _head(model: Asset, at: int, wide: int) -> str:
    """The name of a model where there is room for one, else its number."""
    return cell(model.path.stem, wide - 1) + " " if wide > 2 * _LEAST else f"{at + 1}"[-wide:].center(wide)
