"""The files of what was asked for: the usual choice is marked, others can be, of any version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.fetch.offer import Offer
from modelhub.text import human_size, plural
from modelhub.tui.actions import bindings
from modelhub.tui.download.choice import Choosing
from modelhub.tui.download.offer_list import OfferFacts, OfferList
from modelhub.tui.download.page import Page
from modelhub.tui.library import Library
from modelhub.tui.pictures.picture import Picture
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, attempt, background

if TYPE_CHECKING:
    from modelhub.fetch.planning.plans import Plan
    from modelhub.tui.pictures.picture import Pixels

EMPTY = """\
Nothing was asked for yet.

Paste an address, or press  /  and type one."""
#: Pixels of the longer side of a picture that is shown.
_SIDE = 256


class About(VerticalScroll, can_focus=True):
    """The facts, to be scrolled by keys when tab comes here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="about.down"),
        Binding("k", "scroll_up", "Up", show=False, id="about.up"),
    ]


class OfferPage(Page):
    """A choice among files, and what is said of the model under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("offer")]
    scope: ClassVar[str] = "offer"

    @dataclass
    class Asked(Message):
        """What the sources lead to."""

        choosing: Choosing | None
        error: ModelhubError | None

    @dataclass
    class Planned(Message):
        """The plan for what is marked."""

        plan: Plan | None
        error: ModelhubError | None

    @dataclass
    class Seen(Message):
        """The picture of an offer."""

        address: str
        pixels: Pixels

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._offer: Offer | None = None

    def compose(self) -> ComposeResult:
        """The files beside the facts, and what is marked over both."""
        yield Static(markup=False, classes="summary")
        with Horizontal(classes="halves"):
            yield OfferList(id="files", empty=EMPTY)
            with About(classes="about"), Vertical():
                yield Picture()
                yield OfferFacts()

    @property
    def files(self) -> OfferList:
        """The list."""
        return self.query_one(OfferList)

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, sources: Sequence[str]) -> None:
        """Ask what sources lead to; what was asked for before goes when the answer is here."""
        self.place.wait_for(f"asking for {plural(len(sources), 'source')}…")
        self._ask(tuple(sources))

    @background("ask")
    def _ask(self, job: WorkerJob, sources: tuple[str, ...]) -> None:
        choosing, error = attempt(lambda: self._led_to(job, sources))
        if not job.cancelled:
            job.post(self.Asked(choosing, error))

    def _led_to(self, job: WorkerJob, sources: tuple[str, ...]) -> Choosing:
        from modelhub.fetch.asking import ask_all, pasted_tokens, usual
        from modelhub.fetch.net import Net
        from modelhub.fetch.planning.owned import owned_of

        self.runner.tokens.update(pasted_tokens(sources))
        with self.library.open() as catalog, Net(given=self.runner.tokens) as net:
            asked = ask_all(catalog, sources, net, job)
            choosing = Choosing(asked, [usual(one) for one in asked])
            found = {file.hashes.get("sha256") for parts in choosing.versions for one in parts for file in one.files}
            choosing.owned = owned_of(catalog, (digest for digest in found if digest))
        return choosing

    @on(Asked)
    def _show(self, message: Asked) -> None:
        message.stop()
        self.place.wait_for("")
        choosing, error = message.choosing, message.error
        alone = choosing.asked[0] if choosing is not None and len(choosing.asked) == 1 else None
        error = error or (alone.error if alone is not None else None)
        if error is not None:
            self.explain(error)
        elif choosing is not None:
            self.files.choosing = choosing
            self.files.redraw()
            marked = (
                at for at, line in enumerate(self.files.rows) if line.file is not None and choosing.is_marked(line)
            )
            self.files.cursor = next(marked, 0)
            self._summarise()
            self.place.counted("offer", len(choosing.asked))
            self.place.answered("offer")

    def stop(self) -> None:
        """No longer wait for an answer."""
        for group in ("ask", "plan", "picture"):
            self.workers.cancel_group(self, group)

    # -- what is under the cursor --------------------------------------------------------------------------------------

    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        message.stop()
        choosing, line, facts = self.files.choosing, self.files.current, self.query_one(OfferFacts)
        if choosing is None or line is None:
            return
        offer = choosing.asked[line.asked].offer
        facts.error = choosing.asked[line.asked].error
        facts.offer, facts.version, facts.file = offer, choosing.version(line), choosing.file(line)
        if offer is not self._offer:
            self._offer = offer
            self._show_picture(None)
            self.query_one(".about", VerticalScroll).scroll_home(animate=False)
            if offer is not None:
                self._look_at(offer)

    @background("picture")
    def _look_at(self, job: WorkerJob, offer: Offer) -> None:
        """The picture of the model; none is no trouble."""
        from modelhub.fetch.arriving.pictures import chosen_picture, seen_picture
        from modelhub.fetch.net import Net

        url = chosen_picture(offer.pictures, self.hub.settings.download_previews, offer.provider)
        if url is None:
            return
        with Net() as net:
            pixels, _ = attempt(lambda: seen_picture(self.library.folder, url, net, _SIDE, job))
        if pixels is not None:
            job.post(self.Seen(offer.address, pixels))

    @on(Seen)
    def _seen(self, message: Seen) -> None:
        message.stop()
        if self._offer is not None and message.address == self._offer.address:
            self._show_picture(message.pixels)

    def _show_picture(self, pixels: Pixels | None) -> None:
        picture = self.query_one(Picture)
        picture.pixels = pixels
        picture.set_class(pixels is not None, "-shown")

    def _summarise(self) -> None:
        choosing = self.files.choosing
        count = len(choosing.marks) if choosing else 0
        line = f" {plural(count, 'file')} marked, {human_size(choosing.size())}" if choosing and count else ""
        says = " — enter plans it" if count else " Nothing is marked: space marks a file"
        self.query_one(".summary", Static).update(f"{line}{says}" if choosing else "")

    # -- keys ----------------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark or unmark, and go on after a file."""
        choosing, line = self.files.choosing, self.files.current
        if choosing is not None and line is not None:
            choosing.toggle(line)
            self.files.redraw()
            self.files.cursor += line.file is not None
            self._summarise()

    def action_fold(self) -> None:
        """Hide the files of a version."""
        self._fold(away=True)

    def action_unfold(self) -> None:
        """Show the files of a version."""
        self._fold(away=False)

    def _fold(self, *, away: bool) -> None:
        choosing, line = self.files.choosing, self.files.current
        if choosing is not None and line is not None:
            there = choosing.fold(line, away=away)
            self.files.redraw()
            self.files.cursor = self.files.rows.index(there)

    def action_unfold_all(self) -> None:
        """Show the files of all versions, or of those with marks."""
        if self.files.choosing is not None:
            self.files.choosing.fold_all()
            self.files.redraw()

    def action_copy(self) -> None:
        """Copy the address of the page."""
        if self._offer is not None:
            self.app.copy_to_clipboard(self._offer.page or self._offer.address)
            self.say("Copied the address of the page.")

    def chosen(self) -> None:
        """A double click marks."""
        self.action_mark()

    # -- planning ------------------------------------------------------------------------------------------------------

    def action_plan(self) -> None:
        """See what is to be done for what is marked."""
        if self.files.choosing is not None and self.files.choosing.marks:
            self.place.wait_for("planning…")
            self._plan(self.files.choosing)
        else:
            self.say("Mark a file with space first.")

    @background("plan")
    def _plan(self, job: WorkerJob, choosing: Choosing) -> None:
        plan, error = attempt(lambda: self._made(job, choosing))
        if not job.cancelled:
            job.post(self.Planned(plan, error))

    def _made(self, job: WorkerJob, choosing: Choosing) -> Plan:
        from modelhub.fetch.marked import chosen
        from modelhub.fetch.net import Net
        from modelhub.fetch.planning.ordering import Options
        from modelhub.fetch.planning.plans import plan

        with self.library.open() as catalog, Net(given=self.runner.tokens) as net:
            wanted = []
            for at, parts in choosing.marked():
                offer = choosing.asked[at].offer
                wanted += chosen(offer, parts, net, job) if offer is not None else []
            return plan(catalog, wanted, Options.usual(self.hub.settings), net, job)
