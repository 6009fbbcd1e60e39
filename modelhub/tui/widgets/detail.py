"""The detail pane: everything that is known of one asset, and why it is believed."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive

from modelhub.catalog.asset import Asset
from modelhub.tui.widgets.facts import Section, sections
from modelhub.tui.widgets.preview import Preview
from modelhub.tui.widgets.section_body import SectionBody


class DetailBody(SectionBody):
    """The text of the pane, drawn from an asset."""

    asset: reactive[Asset | None] = reactive(None, layout=True)

    def sections(self) -> Iterable[Section]:
        """Those of the asset."""
        return sections(self.asset) if self.asset is not None else ()


class Detail(VerticalScroll, can_focus=True):
    """The pane around it."""

    asset: reactive[Asset | None] = reactive(None)

    def compose(self) -> ComposeResult:
        """The picture beside the model, and the body."""
        yield Preview()
        yield DetailBody()

    def on_resize(self) -> None:
        """The picture keeps its share."""
        self.query_one(Preview).room = self.size

    def watch_asset(self, before: Asset | None, after: Asset | None) -> None:
        """Show another asset from its top, or new facts of the same where the reader is."""
        self.query_one(DetailBody).asset = after
        self.query_one(Preview).path = str(after.preview or "") if after else ""
        if before is None or after is None or before.id != after.id:
            self.scroll_home(animate=False)
