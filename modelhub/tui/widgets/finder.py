"""The finder: a filter bar over a list of assets; what is typed is searched in a thread, the last good list stays."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from modelhub.errors import BadQueryError
from modelhub.tui.library import Library
from modelhub.tui.widgets.asset_list import AssetList
from modelhub.tui.widgets.columns import COLUMNS
from modelhub.tui.widgets.filter_bar import FilterBar
from modelhub.tui.work import WorkerJob, background

_SORTABLE = tuple(column for column in COLUMNS if column.sort)

NOTHING = "Nothing fits this query.\n\nEscape clears it."
UNREADABLE = "This query cannot be read.\n\nEscape clears it."


def mistake(message: str) -> tuple[str, int | None]:
    """The reason in the message of a bad query, and how many characters stand before what its caret points at."""
    reason, *rest = message.splitlines()
    reason = reason.removeprefix("The search cannot be read: ")
    at = rest[-1].index("^") - 2 if rest and rest[-1].strip() == "^" else None
    return reason[:1].upper() + reason[1:], at


class Finder(Vertical):
    """Finds assets; `base` is a query that always holds besides what is typed."""

    @dataclass
    class Found(Message):
        """What a search found, of how many assets there are."""

        asked: tuple[str, str, bool]
        ids: list[int]
        total: int
        keep: bool

    @dataclass
    class Refused(Message):
        """A query that cannot be read."""

        asked: tuple[str, str, bool]
        error: BadQueryError

    @dataclass
    class Shown(Message):
        """The list shows something else: `total` assets are there to be found."""

        total: int

    def __init__(self, library: Library, *, base: str = "", empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.library, self.base, self._empty = library, base, empty
        self._total = 0

    def compose(self) -> ComposeResult:
        """Bar and list."""
        yield FilterBar(placeholder="filter:  kind:lora arch:sdxl tag:anime size:>2GB", id="filter")
        yield AssetList(self.library.page, id="assets")

    def on_mount(self) -> None:
        """The first list."""
        self.watch(self.assets, "marks", self._summarise, init=False)
        self.search(keep=False)

    @property
    def assets(self) -> AssetList:
        """The list."""
        return self.query_one(AssetList)

    @property
    def bar(self) -> FilterBar:
        """The filter bar."""
        return self.query_one(FilterBar)

    def _asked(self) -> tuple[str, str, bool]:
        return (self.bar.text, *self.assets.order)

    def search(self, *, keep: bool) -> None:
        """Search for what the bar says; `keep` stays on the asset under the cursor."""
        self._find(self._asked(), keep)

    @background("search")
    def _find(self, job: WorkerJob, asked: tuple[str, str, bool], keep: bool) -> None:
        query, sort, reverse = asked
        with self.library.open() as catalog:
            total = catalog.count(self.base)
            try:
                ids = catalog.ids(query, sort, reverse=reverse)
            except BadQueryError as error:
                job.post(self.Refused(asked, error))
                return
            if self.base:
                allowed = frozenset(catalog.ids(self.base))
                ids = [number for number in ids if number in allowed]
        job.post(self.Found(asked, ids, total, keep))

    @on(Found)
    def _show(self, message: Found) -> None:
        message.stop()
        if message.asked != self._asked():
            return
        self._total = message.total
        self.bar.problem = ""
        self.assets.show(message.ids, keep=message.keep)
        self._summarise()
        self.assets.empty = NOTHING if message.total else self._empty
        self.post_message(self.Shown(message.total))

    @on(Refused)
    def _complain(self, message: Refused) -> None:
        message.stop()
        if message.asked == self._asked():
            self.bar.complain(*mistake(message.error.message))
            if not self.assets.count:
                self.assets.empty = UNREADABLE

    def _summarise(self) -> None:
        shown, order = len(self.assets.ids), self.assets.order
        column = next(column for column in _SORTABLE if column.sort == order[0])
        arrow = "▼" if column.falls != order[1] else "▲"
        marked = f"{len(self.assets.marks):,} marked" if self.assets.marks else ""
        self.bar.summary = Content.assemble(
            (f"{shown:,}", "bold $foreground"),
            f" of {self._total:,} · by {column.title.lower()} {arrow}{' · ' * bool(marked)}",
            (marked, "bold $accent"),
        )

    @on(FilterBar.Changed)
    def _changed(self, message: FilterBar.Changed) -> None:
        message.stop()
        self.search(keep=False)

    @on(FilterBar.Left)
    def _left(self, message: FilterBar.Left) -> None:
        message.stop()
        self.assets.focus()

    @on(AssetList.HeadingClicked)
    def _heading(self, message: AssetList.HeadingClicked) -> None:
        message.stop()
        self.sort_by(message.sort)

    def sort_by(self, sort: str) -> None:
        """Sort by this; again turns the order round."""
        before, reverse = self.assets.order
        self.assets.order = (sort, not reverse if sort == before else False)
        self.search(keep=True)

    def sort_next(self) -> None:
        """Sort by the next column."""
        names = [column.sort for column in _SORTABLE]
        self.sort_by(names[(names.index(self.assets.order[0]) + 1) % len(names)])

    def reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self.assets.order[0])
