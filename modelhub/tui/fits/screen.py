"""What fits: the answers for one model or one adapter beside all that it could go with, and the evidence of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from modelhub.catalog.asset import Asset
from modelhub.jobs import Event
from modelhub.lora.checking.answer import SIGNS, VERDICTS
from modelhub.text import one_line
from modelhub.tui.actions import bindings
from modelhub.tui.detail.fact import Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_facts import fit_sections
from modelhub.tui.fits.fit_list import FitList, Pair
from modelhub.tui.library import Library
from modelhub.tui.widgets.key_bar import KeyBar
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Failed, Progress, WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

_NARROW = 100
#: Seconds for which answers are gathered before they are shown together.
_GATHER = 0.1
_LOOKING = "looking…"


class FitBody(SectionBody):
    """The evidence of a pair."""

    pair: reactive[Pair | None] = reactive(None, layout=True)
    nothing = ""

    def sections(self) -> Iterable[Section]:
        """Those of the answer."""
        return fit_sections(self.pair.answer) if self.pair is not None else ()


class FitsScreen(Screen[None]):
    """Which models `asset` fits, or which adapters fit it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("fits")]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-normal")]  # noqa: RUF012 (Textual's declaration)
    AUTO_FOCUS = "#fit-list"
    scope = "fits"

    @dataclass
    class Came(Message):
        """Answers that were found since the last ones."""

        pairs: Sequence[Pair]

    @dataclass
    class Finished(Message):
        """There are no more."""

    def __init__(self, library: Library, asset: Asset) -> None:
        super().__init__()
        self.library, self.asset = library, asset

    def compose(self) -> ComposeResult:
        """The question, the list, the evidence."""
        yield Static(one_line(partners.question(self.asset)), markup=False, id="fits-title")
        with Container(id="fits"):
            yield FitList(id="fit-list")
            with VerticalScroll(id="evidence", can_focus=True):
                yield FitBody()
        yield StatusLine(id="status")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look at once."""
        self.list.empty = _LOOKING
        self.query_one(StatusLine).event = Event("fits", "checking")
        self._find()

    @property
    def list(self) -> FitList:
        """The pairs."""
        return self.query_one(FitList)

    @background("fits")
    def _find(self, job: WorkerJob) -> None:
        pairs: list[Pair] = []
        told = monotonic()
        with self.library.open() as catalog:
            for pair in partners.pairs(catalog, self.asset, job):
                job.check()
                pairs.append(pair)
                if monotonic() - told > _GATHER:
                    job.post(self.Came(pairs))
                    pairs, told = [], monotonic()
        job.post(self.Came(pairs))
        job.post(self.Finished())

    @on(Came)
    def _came(self, message: Came) -> None:
        self.list.add(message.pairs)

    @on(Finished)
    def _finished(self) -> None:
        self.list.empty = partners.nothing(self.asset)
        self._tell(self._summary())

    def _tell(self, more: str) -> None:
        """Something behind the question."""
        self.query_one("#fits-title", Static).update(f"{one_line(partners.question(self.asset))}   {more}".rstrip())

    def _summary(self) -> str:
        """`✓ 3  ✗ 12`: how many of each verdict."""
        counts = self.list.counts
        return "  ".join(f"{SIGNS[verdict]} {counts[verdict]:,}" for verdict in VERDICTS if verdict in counts)

    @on(LineList.Highlighted, "#fit-list")
    def _highlighted(self) -> None:
        body = self.query_one(FitBody)
        if body.pair is not self.list.current:
            body.pair = self.list.current
            self.query_one("#evidence").scroll_home(animate=False)

    @on(LineList.Chosen, "#fit-list")
    def action_open(self) -> None:
        """Read the evidence."""
        self.query_one("#evidence").focus()

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        self.query_one(StatusLine).event = message.event

    @on(Failed)
    def _failed(self) -> None:
        self.list.empty = ""

    @on(Done)
    def _done(self, message: Done) -> None:
        message.stop()
        self.query_one(StatusLine).event = None

    def action_back(self) -> None:
        """Stop what runs, or go back to the list, or leave."""
        if self.query_one(StatusLine).event is not None:
            self.workers.cancel_node(self)
            self.query_one(StatusLine).event = None
            self.list.empty = "stopped"
            self._tell(f"stopped; so far {self._summary()}" if self.list.count else "stopped")
        elif self.focused is not self.list:
            self.list.focus()
        else:
            self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is no LoRA is not baked into a model."""
        return action not in ("bake", "stack") or partners.bakes(self.asset)

    def action_bake(self) -> None:
        """The merge lab with this pair."""
        self._bring(cast("ModelhubApp", self.app).merge)

    def action_stack(self) -> None:
        """The LoRA place with this pair."""
        self._bring(cast("ModelhubApp", self.app).stack)

    def _bring(self, there: Callable[..., object]) -> None:
        found = self.list.current
        together = partners.for_the_lab(self.asset, found.asset) if found is not None else None
        if together is None:
            self.app.bell()
            return
        model, lora = together
        self.app.call_later(there, [model], [lora])
