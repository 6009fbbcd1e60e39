"""Download: paste an address, choose, plan, watch the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.widgets import ContentSwitcher

from modelhub.errors import UsageError
from modelhub.tui.actions import bindings
from modelhub.tui.download.asking import read_typed
from modelhub.tui.download.bar import SourceBar, SourceInput, Steps
from modelhub.tui.download.found_page import FoundPage
from modelhub.tui.download.offer_page import OfferPage
from modelhub.tui.download.page import Page
from modelhub.tui.download.plan_page import PlanPage
from modelhub.tui.download.queue_page import QueuePage
from modelhub.tui.download.running import QueueRunner
from modelhub.tui.download.updates_page import UpdatesPage
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.screens.place import Place

_PAGES = {"queue": "Queue", "found": "Search", "offer": "Files", "plan": "Plan", "updates": "Updates"}
#: Where escape leads from a page.
_BEFORE = {"found": "queue", "offer": "queue", "plan": "offer", "updates": "queue"}
#: Seconds between two looks at the queue.
_LOOK = 0.5
#: While nothing runs, one of so many looks is taken.
_QUIET = 4


class DownloadScreen(Place):
    """The way of a model: asked for, chosen, planned, queued, done. `waiting` is what an answer is waited for."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("download")]
    AUTO_FOCUS = "#downloads"
    scope: ClassVar[str] = "download"

    page: reactive[str] = reactive("queue", init=False)  # it may be asked for before there is anything to show it in
    waiting: reactive[str] = reactive("", init=False)

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._came_from, self._quiet = "queue", 0

    def body(self) -> ComposeResult:
        """The field, the strip of pages, the page at hand."""
        yield SourceBar()
        yield Steps(_PAGES)
        with ContentSwitcher(initial="queue"):
            yield QueuePage(self.library)
            yield FoundPage(self.library)
            yield OfferPage(self.library)
            yield PlanPage(self.library)
            yield UpdatesPage(self.library)

    def on_mount(self) -> None:
        """What was remembered; and from now on, what the queue is at."""
        self.found.set_reactive(FoundPage.adult, self.remembered.get("adult") is True)
        self.queue.look()
        self.set_interval(_LOOK, self._look)

    def remember(self) -> dict[str, Any]:
        """Whether to search for everything. No addresses: what was pasted may hold a token."""
        return {"adult": self.found.adult}

    @property
    def runner(self) -> QueueRunner:
        """The one runner of the queue, which lives as long as the place."""
        if not hasattr(self, "_runner"):
            self._runner = QueueRunner(self.library, self.jobs, lambda: self.settings, self.scope)
        return self._runner

    @property
    def queue(self) -> QueuePage:
        """The queue."""
        return self.query_one(QueuePage)

    @property
    def found(self) -> FoundPage:
        """What a search found."""
        return self.query_one(FoundPage)

    @property
    def offer(self) -> OfferPage:
        """The choice."""
        return self.query_one(OfferPage)

    @property
    def bar(self) -> SourceBar:
        """The field."""
        return self.query_one(SourceBar)

    # -- pages ---------------------------------------------------------------------------------------------------------

    @property
    def scopes(self) -> dict[str, DOMNode]:
        """The scopes of actions that apply beside its own: that of the page at hand, and what runs them."""
        return {page.id or "": page for page in self.query(f"#{self.page}").results(Page)}

    def open_page(self, page: str) -> None:
        """To a page, with the focus on its list."""
        if page == "offer" and self.page in ("found", "updates", "queue"):
            self._came_from = self.page
        self.page = page
        here = self.query_one(f"#{page}", Page)
        here.opened()
        here.table.focus()

    def answered(self, page: str) -> None:
        """To a page whose answer came; who types meanwhile goes on typing, and presses none of its keys."""
        field = self.bar.input
        typing = field.has_focus and field.value
        self.open_page(page)
        if typing:
            field.focus()

    def watch_page(self, page: str) -> None:
        """Show it."""
        self.query_one(ContentSwitcher).current = page
        self.query_one(Steps).here = page

    def watch_waiting(self, waiting: str) -> None:
        """Say what an answer is waited for."""
        self.query_one(Steps).busy = waiting and f"{waiting} esc stops "

    def wait_for(self, what: str) -> None:
        """Something is asked for, or "": nothing is any more."""
        self.waiting = what

    def counted(self, page: str, count: int) -> None:
        """How much is on a page."""
        steps = self.query_one(Steps)
        steps.counts = {**steps.counts, page: count}

    def action_page(self, page: str) -> None:
        """To a page."""
        self.open_page(page)

    @on(Steps.Chosen)
    def _step(self, message: Steps.Chosen) -> None:
        self.open_page(message.page)

    # -- asking --------------------------------------------------------------------------------------------------------

    def action_ask(self) -> None:
        """Into the field."""
        self.bar.input.focus()

    def take(self, sources: Sequence[str]) -> None:
        """Ask what sources lead to."""
        self.offer.ask(sources)

    @on(SourceInput.Pasted)
    def _pasted(self, message: SourceInput.Pasted) -> None:
        self.take(message.sources)

    @on(SourceBar.Typed)
    def _typed(self, message: SourceBar.Typed) -> None:
        try:
            typed = read_typed(message.text)
        except UsageError as error:
            self.queue.explain(error)
            return
        self.bar.input.value = ""
        if typed.sources:
            self.take(typed.sources)
        else:
            self.open_page("found")
            self.found.search(typed.words)

    @on(SourceBar.Left)
    def _left(self) -> None:
        self.open_page(self.page)

    @on(FoundPage.Open)
    @on(UpdatesPage.Open)
    def _open(self, message: FoundPage.Open | UpdatesPage.Open) -> None:
        self.take(message.addresses)

    @on(OfferPage.Planned)
    def _planned(self, message: OfferPage.Planned) -> None:
        self.wait_for("")
        if message.error is not None:
            self.offer.explain(message.error)
        elif message.plan is not None:
            self.query_one(PlanPage).show(message.plan)
            self.answered("plan")

    def queued(self, ids: Sequence[int], *, goes_on: bool) -> None:
        """A plan is in the queue: go there, and run it."""
        self.answered("queue")
        for number in ids[:1]:
            self.queue.point_at(number)
        if goes_on:
            self.queue.start()
        self.queue.look()

    # -- the queue -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Often while something comes; else now and then, for other processes may run the queue, too."""
        self._quiet += 1
        if self.is_current and (self.queue.is_moving or self._quiet >= _QUIET):
            self._quiet = 0
            self.queue.look()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        """What other places and processes did is seen at once."""
        self.queue.look()

    def count(self, rows: int) -> None:
        """How many downloads are not done."""
        self.counted("queue", rows)

    # -- back ----------------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Stop what is asked; else a page back; from the queue, stop what runs or leave."""
        updates = self.query_one(UpdatesPage)
        if self.waiting:
            self.offer.stop()
            self.found.stop()
            self.query_one(PlanPage).stop()
            self.wait_for("")
        elif self.page == "updates" and updates.is_busy:
            updates.stop()
        elif self.page != "queue":
            self.open_page(self._came_from if self.page == "offer" else _BEFORE[self.page])
        elif self.runner.is_running:
            self._ask_to_stop()
        else:
            super().action_back()

    def _ask_to_stop(self) -> None:
        text = (
            "All downloads stop. What has come is kept, and they wait in the queue: s goes on.\n"
            "To leave them running, just go to another place: B is the library."
        )
        confirm(self, "Stop downloading", text, "Stop", self.runner.stop)
