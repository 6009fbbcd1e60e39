"""What screens of pairs share: a question, a list of pairs, the evidence of the one under the cursor, the ways on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from modelhub.catalog.asset import Asset
from modelhub.jobs import Event
from modelhub.lora.checking.answer import SIGNS, VERDICTS, Verdict
from modelhub.text import one_line, plural
from modelhub.tui.actions import bindings
from modelhub.tui.detail.fact import Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.fits.fit_facts import fit_sections
from modelhub.tui.fits.fit_list import Pair
from modelhub.tui.library import Library
from modelhub.tui.widgets.key_bar import KeyBar
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Failed, Progress

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

_NARROW = 100
#: Seconds for which answers are gathered before they are shown together.
GATHER = 0.1
_LOOKING = "looking…"


class FitBody(SectionBody):
    """The evidence of a pair."""

    pair: reactive[Pair | None] = reactive(None, layout=True)
    nothing = ""

    def sections(self) -> Iterable[Section]:
        """Those of the answer."""
        return fit_sections(self.pair.answer) if self.pair is not None else ()


class PairScreen(Screen[None]):
    """A screen that finds pairs in a worker of the group "pairs", and ends with `found_all`."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("fits")]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-normal")]  # noqa: RUF012 (Textual's declaration)
    AUTO_FOCUS = "LineList"
    scope = "fits"

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.library = library
        self._finding = True

    @abstractmethod
    def body(self) -> LineList:
        """The list."""

    @abstractmethod
    def question(self) -> str:
        """What is asked, in a line."""

    @abstractmethod
    def nothing(self) -> str:
        """What is said when there is no pair."""

    @abstractmethod
    def counts(self) -> Mapping[Verdict, int]:
        """How many pairs of each verdict there are by now."""

    @abstractmethod
    def find(self) -> object:
        """Start to look."""

    @abstractmethod
    def together(self) -> tuple[Asset, Asset] | None:
        """The model and the LoRA under the cursor, for the merge lab; None where they cannot be brought there."""

    def compose(self) -> ComposeResult:
        """The question, the list, the evidence."""
        yield Static(one_line(self.question()), markup=False, id="fits-title")
        with Container(id="fits"):
            yield self.body()
            with VerticalScroll(id="evidence", can_focus=True):
                yield FitBody()
        yield StatusLine(id="status")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look at once."""
        self._lines.empty = _LOOKING
        self.query_one(StatusLine).event = Event("fits", "checking")
        self.find()

    @property
    def _lines(self) -> LineList:
        return self.query_one(LineList)

    def found_all(self) -> None:
        """There are no more."""
        self._over(self.nothing())
        self.tell()

    def tell(self, more: str = "") -> None:
        """`15 pairs: ✓ 3  ✗ 12`: how many of each verdict, behind the question."""
        counts = self.counts()
        pairs = plural(sum(counts.values()), "pair")
        signs = "  ".join(f"{SIGNS[verdict]} {counts[verdict]:,}" for verdict in VERDICTS if verdict in counts)
        more = "; so far ".join(filter(None, (more, signs and f"{pairs}: {signs}")))
        self.query_one("#fits-title", Static).update(f"{one_line(self.question())}   {more}".rstrip())

    def _over(self, empty: str) -> None:
        self._finding = False
        self._lines.empty = empty
        self.query_one(StatusLine).event = None

    def show(self, pair: Pair | None) -> None:
        """The evidence of a pair."""
        body = self.query_one(FitBody)
        if body.pair is not pair:
            body.pair = pair
            self.query_one("#evidence").scroll_home(animate=False)

    @on(LineList.Chosen)
    def action_open(self) -> None:
        """Read the evidence."""
        self.query_one("#evidence").focus()

    # -- work ----------------------------------------------------------------------------------------------------------

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if self._finding and message.group == "pairs":
            self.query_one(StatusLine).event = message.event

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        if message.group == "pairs":
            self._over("")

    @on(Done)
    def _done(self, message: Done) -> None:
        message.stop()

    # -- leaving -------------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Stop what runs, or go back to the list, or leave."""
        if self._finding:
            self.workers.cancel_group(self, "pairs")
            self._over("stopped")
            self.tell("stopped")
        elif self.focused is not self._lines:
            self._lines.focus()
        else:
            self.dismiss(None)

    def action_bake(self) -> None:
        """The merge lab with this pair."""
        self._bring(cast("ModelhubApp", self.app).merge)

    def action_stack(self) -> None:
        """The LoRA place with this pair."""
        self._bring(cast("ModelhubApp", self.app).stack)

    def _bring(self, there: Callable[..., object]) -> None:
        together = self.together()
        if together is None:
            self.app.bell()
            return
        model, lora = together
        self.app.call_later(there, [model], [lora])
