"""A table over the line list: columns that give way where there is no room, marks, and what an empty one says."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive

from modelhub.text import width as columns_of
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

R = TypeVar("R")
#: Text and look of a piece of a cell.
Span = tuple[str, str]
#: A cell: one text that is fitted into its column, or pieces that fill it as they are.
Cell = Span | tuple[Span, ...]

_GUTTER, _GAP = 3, 2
_LOOKS = ("heading", "mark", "name", "muted", "tag", "good", "warn", "bad", "done", "rest")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `width` columns of the terminal, 0 for what is left; shown in tables that are `least` wide."""

    title: str
    width: int = 0
    right: bool = False
    least: int = 0


class Table(LineList, Generic[R]):
    """`rows` in columns; `marks` are the keys of those that are marked, `empty` is what an empty table says."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"list--{name}" for name in _LOOKS}
    header = 1

    marks: reactive[dict[Hashable, None]] = reactive({})

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self.rows: Sequence[R] = ()
        self.set_reactive(Table.empty, empty)

    def key(self, row: R) -> Hashable:
        """What a row is known by when the rows change."""
        raise NotImplementedError

    def cells(self, row: R) -> Sequence[Cell]:
        """A cell for each column."""
        raise NotImplementedError

    def sign(self, row: R) -> Span:
        """What stands before the cells."""
        return ("●", "mark") if self.key(row) in self.marks else (" ", "muted")

    # -- rows ----------------------------------------------------------------------------------------------------------

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    @property
    def targets(self) -> list[R]:
        """What an action is about: the marked rows, else the one under the cursor."""
        marked = [row for row in self.rows if self.key(row) in self.marks]
        return marked or ([self.current] if self.current is not None else [])

    def show(self, rows: Sequence[R], *, top: bool = False) -> None:
        """Other rows; the cursor stays on what it is on, if that is still there, unless it is to be on `top`."""
        here = None if top or self.current is None else self.key(self.current)
        self.rows = rows
        places = {self.key(row): at for at, row in enumerate(rows)}
        self.marks = {key: None for key in self.marks if key in places}
        self.count = len(rows)
        self.cursor = places.get(here, 0 if top else self.validate_cursor(self.cursor))
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor, and go to the next."""
        if self.current is not None:
            key = self.key(self.current)
            self.marks = {
                **{one: None for one in self.marks if one != key},
                **({} if key in self.marks else {key: None}),
            }
            self.cursor += 1

    def mark_all(self) -> None:
        """Mark all rows; when they are, unmark them."""
        every: dict[Hashable, None] = {self.key(row): None for row in self.rows}
        self.marks = {} if every.keys() <= self.marks.keys() else every

    def watch_marks(self) -> None:
        """Draw the marks."""
        self.refresh()

    # -- drawing -------------------------------------------------------------------------------------------------------

    def layout_columns(self, width: int) -> list[tuple[int, Column, int]]:
        """Place in the row, column and width of those that fit; what is left is shared by those without a width."""
        shown = [(at, column) for at, column in enumerate(self.COLUMNS) if width >= column.least]
        fixed = _GUTTER + 1 + sum(column.width + _GAP for _, column in shown)
        open_ones = sum(not column.width for _, column in shown) or 1
        share, rest = divmod(max(width - fixed, 6 * open_ones), open_ones)
        found = []
        for at, column in shown:
            found.append((at, column, column.width or share + (rest > 0)))
            rest -= not column.width
        return found

    def heading(self, y: int, width: int) -> list[Segment]:
        """The titles, where there are rows."""
        style = self.get_component_rich_style("list--heading")
        found = [Segment(" " * _GUTTER, style)]
        for _, column, columns in self.layout_columns(width) if self.count else ():
            found += [Segment(cell(column.title, columns, right=column.right), style), Segment(" " * _GAP, style)]
        return [*found, Segment(" " * width, style)]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """Sign and cells of a row."""
        if number >= len(self.rows):
            return []
        row = self.rows[number]
        sign, look = self.sign(row)
        found = [Segment(f" {sign} ", style + ink(self, f"list--{look}"))]
        cells: Sequence[Any] = self.cells(row)
        for at, column, columns in self.layout_columns(width):
            found += self._pieces(cells[at], column, columns, style)
            found.append(Segment(" " * _GAP, style))
        return found

    def _pieces(self, content: Cell, column: Column, columns: int, style: Style) -> Iterator[Segment]:
        if isinstance(content[0], str):
            text, look = content[0], str(content[1])
            yield Segment(cell(text, columns, right=column.right), style + ink(self, f"list--{look}"))
            return
        used = 0
        for text, look in content:
            used += columns_of(str(text))
            yield Segment(str(text), style + ink(self, f"list--{look}"))
        yield Segment(" " * max(0, columns - used), style)
