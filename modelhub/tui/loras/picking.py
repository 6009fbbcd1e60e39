"""Choose a LoRA for a model: those that fit first, all others behind one line; what is typed narrows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, Static

from modelhub.catalog.asset import Asset
from modelhub.errors import BadQueryError
from modelhub.lora.checking.answer import Verdict
from modelhub.text import one_line, plural
from modelhub.tui.assets.finder import mistake
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_list import FitList, Pair
from modelhub.tui.library import Library
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.work import WorkerJob, background

#: Verdicts of what is shown at once.
FITTING: tuple[Verdict, ...] = ("compatible", "partial", "caution")
_GATHER, _PAUSE = 0.1, 0.15
_LOOKING = "looking…"
_NOTHING = "No LoRA is found.\nescape, then a in the library scans a folder that holds some."


class ChoiceList(FitList):
    """Pairs of which those that do not fit stand behind a line that opens them."""

    opened: reactive[bool] = reactive(False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fitting = 0

    @property
    def others(self) -> int:
        """How many do not fit, or cannot be told."""
        return len(self._pairs) - self._fitting

    @property
    def is_door(self) -> bool:
        """Whether the cursor is on the line that opens the others."""
        return bool(self.others) and self.cursor == self._fitting

    @property
    def current(self) -> Pair | None:
        """The pair under the cursor."""
        return self._at(self.cursor)

    def add(self, pairs: Iterable[Pair]) -> None:
        """More pairs in their places; a cursor that was moved stays on its pair."""
        before = self.current if self.cursor else None
        door = self.is_door
        self._pairs = sorted([*self._pairs, *pairs], key=lambda pair: pair.order)
        self._fitting = sum(pair.answer.verdict in FITTING for pair in self._pairs)
        self._count()
        rows = range(self.count)
        row = self._fitting if door else next((at for at in rows if self._at(at) is before and before), 0)
        self.cursor = row
        self.refresh()

    def clear(self) -> None:
        """None."""
        self._pairs, self._fitting = [], 0
        self._count()
        self.cursor = 0

    def watch_opened(self) -> None:
        """More rows, or fewer."""
        self._count()
        self.refresh()

    def _count(self) -> None:
        self.count = self._fitting + (1 + self.others * self.opened if self.others else 0)

    def _at(self, row: int) -> Pair | None:
        if row < self._fitting:
            return self._pairs[row]
        at = row - 1
        return self._pairs[at] if row > self._fitting and at < len(self._pairs) and self.opened else None

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """A pair, or the door."""
        pair = self._at(number)
        if pair is not None:
            return self.pair_row(pair, width, style)
        sign, what = (
            ("▾", "do not fit, or cannot be told") if self.opened else ("▸", "others do not fit; enter shows them")
        )
        return [Segment(cell(f" {sign} {self.others:,} {what}", width), style + ink(self, "list--muted"))]


class LoraPickDialog(ModalScreen[Asset | None]):
    """Gives the chosen LoRA; what is typed is a query."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, priority=True, id="lora_pick.cancel"),
        Binding("enter", "take", "Choose", show=False, id="lora_pick.take"),
        Binding("down", "to_list", "To the list", show=False, id="lora_pick.list"),
        Binding("slash", "filter", "Filter", show=False, id="lora_pick.filter"),
    ]

    @dataclass
    class Came(Message):
        """Pairs of a query, `last` when there are no more; `bad` says what is wrong with it."""

        query: str
        pairs: Sequence[Pair]
        last: bool = False
        bad: str = ""

    def __init__(self, library: Library, model: Asset) -> None:
        super().__init__()
        self._library, self._model = library, model
        self._query = ""
        self._pause: Timer | None = None
        self._is_finding = self._is_wanted = False

    def compose(self) -> ComposeResult:
        """A line to type into over the list."""
        with Vertical(classes="dialog -tall") as box:
            box.border_title = "LoRA"
            yield Static(f"for {one_line(self._model.path.stem)}", markup=False, classes="help")
            yield TextField(placeholder="filter:  tag:anime rating:>=4 name", compact=True)
            yield ChoiceList(id="lora-choices")
            yield Static(id="lora-pick-says", markup=False, classes="keys")
            yield Static("type to filter · arrows move · enter chooses · escape leaves", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Look at once."""
        self._search("")

    @property
    def list(self) -> ChoiceList:
        """The pairs."""
        return self.query_one(ChoiceList)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._stop_pause()
        self._is_wanted = False
        query = message.value.strip()
        self._pause = self.set_timer(_PAUSE, lambda: self._search(query))

    def _stop_pause(self) -> None:
        if self._pause is not None:
            self._pause.stop()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        """Choose; of a query that is not answered yet, the best as soon as it is: the list still shows another's."""
        query = message.value.strip()
        if query != self._query:
            self._stop_pause()
            self._search(query)
        if self._is_finding and not self.list.count:
            self._is_wanted = True
        else:
            self.action_take()

    def _search(self, query: str) -> None:
        self._query, self._is_finding = query, True
        self.list.clear()
        self.list.empty = _LOOKING
        self._find(query)

    @background("candidates")
    def _find(self, job: WorkerJob, query: str) -> None:
        found: list[Pair] = []
        told = monotonic()
        with self._library.open() as catalog:
            try:
                for pair in partners.candidates(catalog, self._model, query, job):
                    job.check()
                    found.append(pair)
                    if monotonic() - told > _GATHER:
                        job.post(self.Came(query, found))
                        found, told = [], monotonic()
            except BadQueryError as error:
                job.post(self.Came(query, (), bad=mistake(error.message)[0]))
                return
        job.post(self.Came(query, found, last=True))

    @on(Came)
    def _came(self, message: Came) -> None:
        if message.query != self._query:
            return
        if message.pairs:
            self.list.add(message.pairs)
        if message.last or message.bad:
            self.list.empty = message.bad or _NOTHING
            self._is_finding = False
        counts = self.list.counts
        fits = sum(counts[verdict] for verdict in FITTING if verdict in counts)
        says = "" if message.bad else f"{plural(fits, 'LoRA fits', 'LoRAs fit')}, {self.list.others:,} others"
        self.query_one("#lora-pick-says", Static).update(says)
        if self._is_wanted and not self._is_finding:
            self._is_wanted = False
            self.action_take()

    def action_filter(self) -> None:
        """Back to the line."""
        self.query_one(Input).focus()

    def action_to_list(self) -> None:
        """From the line to the list."""
        self.list.focus()

    @on(LineList.Chosen)
    def action_take(self) -> None:
        """The LoRA under the cursor; on the door, all others."""
        if self.list.is_door:
            self.list.opened = not self.list.opened
        elif self.list.current is None:
            self.app.bell()
        else:
            self.dismiss(self.list.current.asset)
