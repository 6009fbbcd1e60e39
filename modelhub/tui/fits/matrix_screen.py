"""Which LoRAs fit which models: all pairs of what is marked as signs, and the evidence of the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from modelhub.catalog.asset import Asset
from modelhub.jobs import Event
from modelhub.lora.checking.answer import SIGNS, VERDICTS
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_list import Pair
from modelhub.tui.fits.fit_matrix import MatrixList, Row
from modelhub.tui.fits.screen import FitBody
from modelhub.tui.library import Library
from modelhub.tui.widgets.key_bar import KeyBar
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Failed, Progress, WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

_NARROW = 100
_GATHER = 0.1
#: Seconds that the cursor rests on a pair before its evidence is asked for.
_PAUSE = 0.08
_LOOKING = "looking…"
_NOTHING = "There is nothing to check: no LoRA, or no model, in the library.\nIn the library, a scans a folder."


class MatrixScreen(Screen[None]):
    """Some LoRAs beside some models; none of either are all of the library."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("fits")]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-normal")]  # noqa: RUF012 (Textual's declaration)
    AUTO_FOCUS = "#matrix"
    scope = "fits"

    @dataclass
    class Began(Message):
        """The models of the columns."""

        models: Sequence[Asset]

    @dataclass
    class Came(Message):
        """Rows that were answered since the last ones; `last` when there are no more."""

        rows: Sequence[Row]
        last: bool

    @dataclass
    class Answered(Message):
        """The evidence of a pair."""

        key: tuple[int, int]
        pair: Pair

    def __init__(self, library: Library, loras: Sequence[Asset], models: Sequence[Asset]) -> None:
        super().__init__()
        self.library, self._loras, self._models = library, loras, models
        self._pause: Timer | None = None
        self._finding = True

    def compose(self) -> ComposeResult:
        """The question, the matrix, the evidence."""
        yield Static("What fits which models?", markup=False, id="fits-title")
        with Container(id="fits", classes="matrix"):
            yield MatrixList(id="matrix")
            with VerticalScroll(id="evidence", can_focus=True):
                yield FitBody()
        yield StatusLine(id="status")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look at once."""
        self.matrix.empty = _LOOKING
        self.query_one(StatusLine).event = Event("fits", "checking")
        self._find()

    @property
    def matrix(self) -> MatrixList:
        """The pairs."""
        return self.query_one(MatrixList)

    # -- the rows ------------------------------------------------------------------------------------------------------

    @background("matrix")
    def _find(self, job: WorkerJob) -> None:
        found: list[Row] = []
        told = monotonic()
        with self.library.open() as catalog:
            models, rows = partners.matrix(catalog, self._loras, self._models, job)
            job.post(self.Began(models))
            for row in rows:
                found.append(row)
                if monotonic() - told > _GATHER:
                    job.post(self.Came(found, last=False))
                    found, told = [], monotonic()
        job.post(self.Came(found, last=True))

    @on(Began)
    def _began(self, message: Began) -> None:
        self.matrix.models = message.models

    @on(Came)
    def _came(self, message: Came) -> None:
        self.matrix.add(message.rows)
        if message.last:
            self._over("")
            self.matrix.empty = _NOTHING
        self._tell()

    def _tell(self, more: str = "") -> None:
        """How many pairs there are, by their signs."""
        counts = self.matrix.counts
        signs = "  ".join(f"{SIGNS[verdict]} {counts[verdict]:,}" for verdict in VERDICTS if verdict in counts)
        pairs = plural(sum(counts.values()), "pair")
        self.query_one("#fits-title", Static).update(f"What fits which models?   {more}{pairs}: {signs}")

    def _over(self, why: str) -> None:
        self._finding = False
        self.query_one(StatusLine).event = None
        self.matrix.empty = why

    # -- the evidence --------------------------------------------------------------------------------------------------

    @on(LineList.Highlighted, "#matrix")
    def _highlighted(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._ask)

    def _ask(self) -> None:
        here = self.matrix.current
        if here is not None:
            self._answer(*here)

    @background("answer")
    def _answer(self, job: WorkerJob, lora: Asset, model: Asset) -> None:
        with self.library.open() as catalog:
            for pair in partners.answers(catalog, [lora], model, job):
                job.post(self.Answered((lora.id, model.id), pair))

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        here = self.matrix.current
        if here is not None and (here[0].id, here[1].id) == message.key:
            self.query_one(FitBody).pair = message.pair
            self.query_one("#evidence").scroll_home(animate=False)

    @on(LineList.Chosen, "#matrix")
    def action_open(self) -> None:
        """Read the evidence."""
        self.query_one("#evidence").focus()

    # -- work ----------------------------------------------------------------------------------------------------------

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if self._finding and message.group == "matrix":
            self.query_one(StatusLine).event = message.event

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        if message.group == "matrix":
            self._over("")

    @on(Done)
    def _done(self, message: Done) -> None:
        message.stop()

    # -- leaving -------------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Stop what runs, or go back to the matrix, or leave."""
        if self._finding:
            self.workers.cancel_group(self, "matrix")
            self._over("stopped")
            self._tell("stopped; so far ")
        elif self.focused is not self.matrix:
            self.matrix.focus()
        else:
            self.dismiss(None)

    def action_bake(self) -> None:
        """The merge lab with this pair."""
        self._bring(cast("ModelhubApp", self.app).merge)

    def action_stack(self) -> None:
        """The LoRA place with this pair."""
        self._bring(cast("ModelhubApp", self.app).stack)

    def _bring(self, there: Callable[..., object]) -> None:
        here = self.matrix.current
        together = partners.for_the_lab(*here) if here is not None else None
        if together is None:
            self.app.bell()
            return
        self.app.call_later(there, [together[0]], [together[1]])
