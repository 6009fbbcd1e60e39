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

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.tui.assets.columns import USUAL, Column, chosen, layout, measure
from modelhub.tui.assets.marking import MarkingList
from modelhub.tui.assets.pages import Pages
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import cell
from modelhub.tui.work import Failed

Fetch = Callable[[Sequence[int]], list[Asset]]
_GUTTER = 2
_GAP = "  "
#: A sign where columns are left out, and the scroll bar.
_EDGE = 2


class AssetList(MarkingList):
    """Assets in columns, with marks. `order`: the sort and whether it is reversed. `empty`: what an empty list says."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("heading", "sorted", "mark", "name", "muted", "star", "tag", "problem")
    }
    header = 1

    order: reactive[tuple[str, bool]] = reactive(("name", False))
    columns: reactive[tuple[Column, ...]] = reactive(chosen(USUAL))

    _showing = False

    @dataclass
    class HeadingClicked(Message):
        """A heading was clicked: sort by `sort`."""

        sort: str

    def __init__(self, fetch: Fetch, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fetch = fetch
        self._pages = Pages(self._page)
        self._needs: dict[str, int] | None = None
        self._least: dict[str, int] = {}
        self._left: int | None = None
        self._laid: tuple[int, list[tuple[Column, int]]] | None = None

    @property
    def ids(self) -> Sequence[int]:
        """The ids of all rows, in order."""
        return self._pages.ids

    @property
    def current(self) -> Asset | None:
        """The asset under the cursor."""
        return self._pages.get(self.cursor)

    def show(self, ids: Sequence[int], *, keep: bool, here: int | None = None) -> None:
        """Other ids. The cursor stays on its asset (`here`: on that of this id); where that is gone, on its line if it
        is to `keep` it, else on the first.
        """
        row = self._row_for(ids, here, keep=keep)
        self.span, self._showing = None, True
        self._pages.show(ids)
        self._measure_again(grow=keep)
        self.count = len(ids)
        row = self.validate_cursor(row)
        if row == self.cursor:
            self.show_cursor()
            self.tell(self.Highlighted(self, row))
        self.cursor = row
        self._showing = False
        self.refresh()

    def _row_for(self, ids: Sequence[int], here: int | None, *, keep: bool) -> int:
        """Where the cursor goes. An asset that a query leaves out is come back to, unless the user went elsewhere."""
        number = here if here is not None else self._left
        if number is None and self.cursor < len(self.ids):
            number = self.ids[self.cursor]
        self._left = None
        if number is not None and number in ids:
            return ids.index(number)
        if keep:
            return self.cursor
        self._left = number
        return 0

    def watch_cursor(self, before: int, after: int) -> None:
        """The user is somewhere else."""
        super().watch_cursor(before, after)
        if not self._showing:
            self._left = None

    def reload(self) -> None:
        """Fetch the rows again: what is known of the assets changed."""
        self._pages.forget()
        self._measure_again(grow=True)
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def _page(self, ids: Sequence[int]) -> list[Asset]:
        """A page from the catalog; one that cannot be read is empty, and says so once."""
        try:
            return self._fetch(ids)
        except ModelhubError as error:
            self.tell(Failed("list", error))
            return []

    def watch_order(self) -> None:
        """Draw the arrow in the heading."""
        self.refresh()

    def watch_columns(self) -> None:
        """Other columns have other widths."""
        self._needs, self._laid = None, None
        self.refresh()

    # -- widths ----------------------------------------------------------------------------------------------------

    def _measure_again(self, *, grow: bool) -> None:
        """What is seen next decides how wide columns are; those of a list that only changed a little do not shrink."""
        self._least = self._needs if grow and self._needs else {}
        self._needs, self._laid = None, None

    def widths(self) -> list[tuple[Column, int]]:
        """The columns that are shown, and their widths, by the contents of the page at the cursor."""
        if self._needs is None:
            needs = measure(self.columns, self._pages.page_of(self.cursor))
            self._needs = {name: max(need, self._least.get(name, 0)) for name, need in needs.items()}
        width = self.size.width - _GUTTER - _EDGE
        if self._laid is None or self._laid[0] != width:
            self._laid = width, layout(width, self.columns, self._needs)
        return self._laid[1]

    # -- drawing ---------------------------------------------------------------------------------------------------

    def heading(self, y: int, width: int) -> list[Segment]:
        """The titles, with an arrow at the sorted one, and a sign where columns are left out for want of room."""
        plain = self.get_component_rich_style("list--heading")
        lit = self.get_component_rich_style("list--sorted")
        found = [Segment(" " * _GUTTER, plain)]
        shown = self.widths()
        for column, columns in shown:
            is_sorted = column.sort == self.order[0]
            arrow = ("▼" if column.falls != self.order[1] else "▲") if is_sorted else ""
            found += [
                Segment(_title(column, columns, arrow), lit if is_sorted else plain),
                Segment(_GAP, plain),
            ]
        more = "»" if len(shown) < len(self.columns) else " "
        return [*found[:-1], Segment(f"{more}{' ' * width}", plain)]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """Mark and columns of an asset."""
        asset = self._pages.get(number)
        if asset is None:
            return [Segment("  (gone)", style + ink(self, "list--muted"))]
        mark = "●" if asset.id in self.marks else "✗" if asset.missing else "!" if asset.problem else " "
        part = "list--mark" if mark == "●" else "list--problem"
        found = [Segment(f"{mark} ", style + ink(self, part))]
        for column, columns in self.widths():
            text = cell(column.text(asset, columns), columns, right=column.right)
            found += [Segment(text, style + self._cell_style(column, asset)), Segment(_GAP, style)]
        return found

    def _cell_style(self, column: Column, asset: Asset) -> Style:
        name = {"name": "list--name", "rating": "list--star", "tags": "list--tag", "state": "list--problem"}.get(
            column.name, "list--muted"
        )
        if column.name == "name" and (asset.problem or asset.missing):
            name = "list--problem" if asset.problem else "list--muted"
        style = ink(self, name)
        return style + Style(strike=True) if asset.missing and column.name == "name" else style

    # -- mouse -----------------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """A heading asks for its order; the margin, and a click with ctrl, marks; with shift, all up to it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        number = self._row_at(event)
        if offset.y < self.header:
            self._heading_clicked(offset.x)
        elif number is None or not (event.ctrl or event.shift or offset.x < _GUTTER):
            return
        elif event.shift:
            self.extend_to(number)
        else:
            self.cursor = number
            self._toggle(number)
        event.prevent_default()

    def _heading_clicked(self, x: int) -> None:
        right = _GUTTER
        for column, columns in self.widths():
            right += columns + len(_GAP)
            if x < right:
                self.tell(self.HeadingClicked(column.sort))
                return


def _title(column: Column, columns: int, arrow: str) -> str:
    """A heading with its arrow, which is more than a letter of the title."""
    if not arrow:
        return cell(column.title, columns, right=column.right)
    title = f"{column.title} {arrow}"
    short = f"{column.title[: columns - 1]}{arrow}"
    return cell(title if len(title) <= columns else short, columns, right=column.right)
