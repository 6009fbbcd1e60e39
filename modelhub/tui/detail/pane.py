"""The detail pane: everything that is known of one asset, why it is believed, and what it is kin to.

What its row says is there at once; its kin is looked up in a thread when the cursor has rested.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer

from modelhub.catalog.asset import Asset
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.fact_pane import FactPane
from modelhub.tui.detail.facts import sections
from modelhub.tui.detail.preview import Preview
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.detail.kin import Kin

#: Seconds that the cursor rests before kin is looked for, and assets whose kin is remembered.
_PAUSE, _KEPT = 0.25, 100


class DetailBody(SectionBody):
    """The text of the pane, drawn from an asset and its kin."""

    asset: reactive[Asset | None] = reactive(None, layout=True)
    kin: reactive[Kin | None] = reactive(None, layout=True)

    def sections(self) -> Iterable[Section]:
        """Those of the asset."""
        kin = self.kin if self.kin and self.asset and self.kin.number == self.asset.id else None
        return sections(self.asset, kin) if self.asset is not None else ()


class Detail(FactPane):
    """The pane around it."""

    asset: reactive[Asset | None] = reactive(None, repaint=False)
    # a longer text is laid out once: Textual would do all of it again for the scroll bar, whose column is kept free
    virtual_size = reactive(Size(), repaint=False)

    @dataclass
    class Follow(Message):
        """Show another asset."""

        number: int

    @dataclass
    class Came(Message):
        """What was found of an asset's kin, and the state of the catalog that it holds for."""

        kin: Kin
        stamp: object
        done: bool

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pause: Timer | None = None
        self._kept: OrderedDict[tuple[int, object], Kin] = OrderedDict()
        self._trail: list[int] = []

    def compose(self) -> ComposeResult:
        """The picture beside the model, and the body."""
        yield Preview()
        yield DetailBody()

    @property
    def body(self) -> DetailBody:
        """The text."""
        return self.query_one(DetailBody)

    def on_resize(self) -> None:
        """The picture keeps its share."""
        self.query_one(Preview).room = self.size

    def watch_asset(self, before: Asset | None, after: Asset | None) -> None:
        """Show another asset from its top, or new facts of the same where the reader is."""
        body = self.body
        is_other = before is None or after is None or before.id != after.id
        if is_other:
            body.cursor = -1
            body.set_reactive(DetailBody.kin, None)
        body.asset = after
        preview = self.query_one(Preview)
        preview.model = after.path if after else None
        preview.path = str(after.preview or "") if after else ""
        if is_other:
            self.scroll_home(animate=False)
            body.cursor = 0 if self.has_focus and after is not None else -1
        self._rest(after)

    def show_next_picture(self) -> bool:
        """The next of several pictures; False where there is no other."""
        return self.query_one(Preview).show_next()

    # -- kin -----------------------------------------------------------------------------------------------------------

    def _rest(self, asset: Asset | None) -> None:
        self.workers.cancel_group(self, "kin")
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, lambda: self._look(asset)) if asset is not None else None

    def _look(self, asset: Asset) -> None:
        """What is remembered, or a look into the catalog; not for a pane that nobody sees."""
        if not self.display:
            return
        stamp = self._stamp()
        known = self._kept.get((asset.id, stamp))
        if known is not None:
            self.body.kin = known
        else:
            self._find(asset, stamp)

    def on_show(self) -> None:
        """A pane that is opened looks for what it did not while it was hidden."""
        if self.asset is not None and self.body.kin is None:
            self._rest(self.asset)

    def _stamp(self) -> object:
        """Another value whenever the catalog was written to."""
        database = cast("ModelhubApp", self.app).library.folder / "catalog.db"
        return tuple(_written(path) for path in (database, database.with_name("catalog.db-wal")))

    @background("kin")
    def _find(self, job: WorkerJob, asset: Asset, stamp: object) -> None:
        from modelhub.tui.detail.kin import kin_of

        with cast("ModelhubApp", self.app).library.open() as catalog:
            for kin in kin_of(catalog, asset, job):
                job.check()
                job.post(self.Came(kin, stamp, kin.fits is None or not kin.fits.is_looking))

    @on(Came)
    def _came(self, message: Came) -> None:
        message.stop()
        number = message.kin.number
        if message.done:
            self._kept[number, message.stamp] = message.kin
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if self.asset is None or self.asset.id != number:
            return
        before = self.fact_under_cursor()
        self.body.kin = message.kin
        self._stay_on(before)

    def _stay_on(self, fact: Fact | None) -> None:
        """What came does not move the cursor off its fact."""
        facts = self.body.laid().facts
        self.body.cursor = facts.index(fact) if fact in facts else min(self.body.cursor, len(facts) - 1)

    # -- going to relatives --------------------------------------------------------------------------------------------

    def follow(self, number: int) -> None:
        """To a relative; the way back is kept."""
        self._trail += [self.asset.id] if self.asset else []
        self.post_message(self.Follow(number))

    def action_return(self) -> None:
        """Back to the asset that a fact led away from."""
        if self._trail:
            self.post_message(self.Follow(self._trail.pop()))
        else:
            self.app.bell()


def _written(path: Path) -> tuple[int, int] | None:
    """When a file was written to, and how long it is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
