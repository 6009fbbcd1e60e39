"""The list of assets: ids that SQL returned, rows fetched by page as they come into sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.tui.widgets.columns import Column, layout
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.widgets.pages import Pages
from modelhub.tui.work import Failed

Fetch = Callable[[Sequence[int]], list[Asset]]
_GUTTER = 2


class AssetList(LineList):
    """Assets in columns, with marks. `order`: the sort and whether it is reversed. `empty`: what an empty list says."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("heading", "sorted", "mark", "name", "muted", "star", "tag", "problem")
    }
    header = 1

    marks: reactive[dict[int, None]] = reactive({})
    order: reactive[tuple[str, bool]] = reactive(("name", False))
    empty: reactive[str] = reactive("")

    @dataclass
    class HeadingClicked(Message):
        """A heading was clicked: sort by `sort`."""

        sort: str

    def __init__(self, fetch: Fetch, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fetch = fetch
        self._pages = Pages(self._page)

    @property
    def ids(self) -> Sequence[int]:
        """The ids of all rows, in order."""
        return self._pages.ids

    @property
    def current(self) -> Asset | None:
        """The asset under the cursor."""
        return self._pages.get(self.cursor)

    @property
    def targets(self) -> list[int]:
        """What an action is about: the marked assets in the order of marking, else the one under the cursor."""
        if self.marks:
            return list(self.marks)
        return [self.ids[self.cursor]] if self.cursor < len(self.ids) else []

    def show(self, ids: Sequence[int], *, keep: bool) -> None:
        """Other ids; `keep` stays on the asset under the cursor, or on its line if it is gone; else to the top."""
        row, before = self.cursor if keep else 0, self.ids
        if keep and row < len(before) and before[row] in ids:
            row = ids.index(before[row])
        self._pages.show(ids)
        self.count = len(ids)
        row = self.validate_cursor(row)
        if row == self.cursor:
            self.show_cursor()
            self.tell(self.Highlighted(self, row))
        self.cursor = row
        self.refresh()

    def reload(self) -> None:
        """Fetch the rows again: what is known of the assets changed."""
        self._pages.forget()
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def _page(self, ids: Sequence[int]) -> list[Asset]:
        """A page from the catalog; one that cannot be read is empty, and says so once."""
        try:
            return self._fetch(ids)
        except ModelhubError as error:
            self.tell(Failed("list", error))
            return []

    def toggle_mark(self) -> None:
        """Mark or unmark the asset under the cursor and go to the next."""
        if self.cursor < len(self.ids):
            here = self.ids[self.cursor]
            self.marks = _without(self.marks, (here,)) if here in self.marks else self.marks | {here: None}
            self.cursor += 1

    def mark_all(self) -> None:
        """Mark all rows; when they are, unmark them."""
        everything = dict.fromkeys(self.ids)
        self.marks = (
            _without(self.marks, self.ids) if everything.keys() <= self.marks.keys() else self.marks | everything
        )

    def watch_marks(self) -> None:
        """Draw the marks."""
        self.refresh()

    def watch_order(self) -> None:
        """Draw the arrow in the heading."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the list, or of what is said in place of an empty one."""
        lines = [] if self.count else self.empty.splitlines()
        number = y - (self.size.height - len(lines)) // 2
        if not 0 <= number < len(lines):
            return super().render_line(y)
        width = self.size.width
        text = Segment(cell(lines[number].center(width), width), self.rich_style + ink(self, "list--muted"))
        return Strip([text], width)

    def heading(self, y: int, width: int) -> list[Segment]:
        """The titles, with an arrow at the sorted one."""
        plain = self.get_component_rich_style("list--heading")
        lit = self.get_component_rich_style("list--sorted")
        found = [Segment(" " * _GUTTER, plain)]
        for column, columns in layout(width - _GUTTER - 1):
            is_sorted = column.sort == self.order[0]
            title = column.title + (" ▼" if column.falls != self.order[1] else " ▲") * is_sorted
            found += [
                Segment(cell(title, columns, right=column.right), lit if is_sorted else plain),
                Segment("  ", plain),
            ]
        return [*found, Segment(" " * width, plain)]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """Mark and columns of an asset."""
        asset = self._pages.get(number)
        if asset is None:
            return [Segment("  (gone)", style + ink(self, "list--muted"))]
        mark = "●" if asset.id in self.marks else "✗" if asset.missing else "!" if asset.problem else " "
        part = "list--mark" if mark == "●" else "list--problem"
        found = [Segment(f"{mark} ", style + ink(self, part))]
        for column, columns in layout(width - _GUTTER - 1):
            text = cell(column.text(asset, columns), columns, right=column.right)
            found += [Segment(text, style + self._cell_style(column, asset)), Segment("  ", style)]
        return found

    def _cell_style(self, column: Column, asset: Asset) -> Style:
        name = {"name": "list--name", "rating": "list--star", "tags": "list--tag"}.get(column.name, "list--muted")
        if column.name == "name" and (asset.problem or asset.missing):
            name = "list--problem" if asset.problem else "list--muted"
        style = ink(self, name)
        return style + Style(strike=True) if asset.missing and column.name == "name" else style

    def on_click(self, event: events.Click) -> None:
        """A click on a heading asks for its order."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y >= self.header:
            return
        event.prevent_default()
        right = _GUTTER
        for column, columns in layout(self.size.width - _GUTTER - 1):
            right += columns + 2
            if offset.x < right:
                if column.sort:
                    self.tell(self.HeadingClicked(column.sort))
                return


def _without(marks: dict[int, None], ids: Sequence[int]) -> dict[int, None]:
    gone = frozenset(ids)
    return {number: None for number in marks if number not in gone}
