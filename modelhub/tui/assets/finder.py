"""The finder: a filter bar over a list of assets; what is typed is searched in a thread, the last good list stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer

from modelhub.catalog.counting import total_size
from modelhub.errors import BadQueryError
from modelhub.text import human_size
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.columns import COLUMNS, USUAL, chosen
from modelhub.tui.assets.filter_bar import FilterBar
from modelhub.tui.library import Library, values_of
from modelhub.tui.work import WorkerJob, background

NOTHING = "Nothing fits this query.\n\nEscape clears it."
UNREADABLE = "This query cannot be read.\n\nEscape clears it."
#: Seconds without another mark until the marked are weighed.
_PAUSE = 0.1


def mistake(message: str) -> tuple[str, int | None]:
    """The reason in the message of a bad query, and how many characters stand before what its caret points at."""
    reason, *rest = message.splitlines()
    reason = reason.removeprefix("The search cannot be read: ")
    at = rest[-1].index("^") - 2 if rest and rest[-1].strip() == "^" else None
    return reason[:1].upper() + reason[1:], at


class Start(NamedTuple):
    """What a finder begins with: a query, an order, columns by name, the id under the cursor, and past queries."""

    query: str = ""
    order: tuple[str, bool] = ("name", False)
    columns: Sequence[object] = USUAL
    here: int | None = None
    history: Sequence[str] = ()


class Finder(Vertical):
    """Finds assets; `base` is a query that always holds besides what is typed.

    With a `start` it completes what is typed; in a dialog, enter and the arrows are the list's.
    """

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
    class Weighed(Message):
        """The bytes of these assets together."""

        ids: Sequence[int]
        size: int

    @dataclass
    class Learned(Message):
        """What a field of the query language may hold."""

        field: str
        values: Mapping[str, int]

    @dataclass
    class Shown(Message):
        """The list shows something else: `total` assets are there to be found."""

        total: int

    class Entered(Message):
        """Enter was pressed in the bar, and the list shows what the bar says, as far as it can be read."""

    def __init__(
        self, library: Library, *, base: str = "", empty: str = "", start: Start | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.library, self.base, self._empty, self._start = library, base, empty, start or Start()
        hint = "filter:  kind:lora arch:sdxl tag:anime size:>2GB"
        self.bar = FilterBar(self._start.query, placeholder=hint, history=self._start.history, id="filter")
        self.assets = AssetList(library.page, id="assets")
        self._here, self._completes = self._start.here, start is not None
        self._total = 0
        self._answered: tuple[str, str, bool] | None = None
        self._entered: tuple[str, str, bool] | None = None
        self._bytes: int | None = None
        self._marked: tuple[Sequence[int], int] | None = None
        self._pause: Timer | None = None
        self._values: dict[str, Mapping[str, int]] = {}
        self._fresh: set[str] = set()

    def compose(self) -> ComposeResult:
        """Bar and list."""
        yield self.bar
        yield self.assets

    def on_mount(self) -> None:
        """The first list."""
        self.bar.values = self.values if self._completes else None
        self.assets.set_reactive(AssetList.order, self._start.order)
        self.assets.set_reactive(AssetList.columns, chosen(self._start.columns))
        self.watch(self.assets, "marks", self._marks_changed, init=False)
        self.watch(self.assets, "span", self._summarise, init=False)
        self.search(keep=False)

    @property
    def here(self) -> int | None:
        """The id of the asset under the cursor, or of that which will be."""
        ids, row = self.assets.ids, self.assets.cursor
        return ids[row] if row < len(ids) else self._here

    # -- searching -------------------------------------------------------------------------------------------------

    def _asked(self) -> tuple[str, str, bool]:
        return (self.bar.text, *self.assets.order)

    def search(self, *, keep: bool) -> None:
        """Search for what the bar says; `keep` stays on its line if the asset under the cursor is gone."""
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
        self._total, self._bytes = message.total, None
        self.bar.problem = ""
        here, self._here = self._here, None
        self.assets.show(message.ids, keep=message.keep, here=here)
        self._summarise()
        self.assets.empty = NOTHING if message.total else self._empty
        self.post_message(self.Shown(message.total))
        self._weigh(message.ids)
        self._answer()

    @on(Refused)
    def _complain(self, message: Refused) -> None:
        message.stop()
        if message.asked == self._asked():
            self.bar.complain(*mistake(message.error.message))
            if not self.assets.count:
                self.assets.empty = UNREADABLE
            self._answer()

    def _answer(self) -> None:
        """What the bar says was looked for; who pressed enter before that waits for it."""
        self._answered = self._asked()
        if self._entered == self._answered:
            self._entered = None
            self.post_message(self.Entered())

    @on(FilterBar.Changed)
    def _changed(self, message: FilterBar.Changed) -> None:
        message.stop()
        if self._entered != self._asked():  # the end of a pause may come after the enter that it was too late for
            self._entered = None
        self.search(keep=False)

    @on(FilterBar.Left)
    def _left(self, message: FilterBar.Left) -> None:
        message.stop()
        self.assets.focus()
        self._entered = self._asked() if message.entered else None
        if self._answered == self._asked():
            self._answer()

    # -- the line below the bar ------------------------------------------------------------------------------------

    @background("weigh")
    def _weigh(self, job: WorkerJob, ids: Sequence[int]) -> None:
        with self.library.open() as catalog:
            job.post(self.Weighed(ids, total_size(catalog, ids)))

    @background("weigh marks")
    def _weigh_marks(self, job: WorkerJob, ids: Sequence[int]) -> None:
        with self.library.open() as catalog:
            job.post(self.Weighed(ids, total_size(catalog, ids)))

    @on(Weighed)
    def _weighed(self, message: Weighed) -> None:
        message.stop()
        if message.ids is self.assets.ids:
            self._bytes = message.size
        elif len(message.ids) == len(self.assets.marks):
            self._marked = message.ids, message.size
        self._summarise()

    def _marks_changed(self) -> None:
        """Many marks may follow one another."""
        self._marked = None
        self._summarise()
        if self._pause is not None:
            self._pause.stop()
        if self.assets.marks:
            self._pause = self.set_timer(_PAUSE, lambda: self._weigh_marks(list(self.assets.marks)))

    def _summarise(self) -> None:
        size = "" if self._bytes is None else f" · {human_size(self._bytes)}"
        self.bar.summary = Content.assemble(
            (f"{len(self.assets.ids):,}", "bold $foreground"),
            f" of {self._total:,}",
            (self._marks_words(), "bold $accent"),
            f" · by {self._order_words()}{size}",
        )

    def _order_words(self) -> str:
        sort, reverse = self.assets.order
        column = next((column for column in COLUMNS.values() if column.sort == sort), None)
        falls = column is not None and column.falls
        return f"{column.title.lower() if column else sort} {'▼' if falls != reverse else '▲'}"

    def _marks_words(self) -> str:
        number = len(self.assets.marks)
        size = f", {human_size(self._marked[1])}" if self._marked else ""
        span = " · visual" if self.assets.span is not None and self.assets.span.stays else ""
        return f" · {number:,} marked{size}{span}" if number else ""

    # -- order and columns -----------------------------------------------------------------------------------------

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
        names = [column.sort for column in self.assets.columns]
        here = names.index(self.assets.order[0]) if self.assets.order[0] in names else -1
        self.sort_by(names[(here + 1) % len(names)])

    def reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self.assets.order[0])

    # -- completion ------------------------------------------------------------------------------------------------

    def values(self, field: str) -> Mapping[str, int] | None:
        """What a field may hold, as far as it is known yet; what is not is looked for in a thread."""
        if field not in self._fresh:
            self._fresh.add(field)
            self._learn(field)
        return self._values.get(field)

    @background("values", exclusive=False)
    def _learn(self, job: WorkerJob, field: str) -> None:
        with self.library.open() as catalog:
            job.post(self.Learned(field, values_of(catalog, field)))

    @on(Learned)
    def _learned(self, message: Learned) -> None:
        message.stop()
        self._values[message.field] = message.values
        self.bar.learned()

    def forget(self) -> None:
        """The catalog changed: what fields may hold is looked for again when it is asked for."""
        self._fresh.clear()
