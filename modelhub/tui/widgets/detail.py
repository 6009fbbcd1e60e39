"""The detail pane: everything that is known of one asset, and why it is believed."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.catalog.asset import Asset
from modelhub.text import printable
from modelhub.tui.widgets.facts import Fact, Section, sections
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.preview import Preview

_LOOKS = ("title", "path", "heading", "label", "value", "muted", "bad", "warn", "good", "star", "tag", "rule")
_LEAST, _MOST = 10, 16


class DetailBody(Widget):
    """The text of the pane, drawn from an asset."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"detail--{name}" for name in _LOOKS}

    asset: reactive[Asset | None] = reactive(None, layout=True)

    def render(self) -> RenderableType:
        """Sections of facts in two columns."""
        if self.asset is None:
            return Text("Nothing under the cursor.", self._look("muted"))
        parts: list[RenderableType] = []
        for section in sections(self.asset):
            if section.title:
                parts += [Text(""), Text(section.title.upper(), self._look("heading"))]
            parts.append(self._section(section))
        return Group(*parts)

    def _section(self, section: Section) -> RenderableType:
        if not section.labelled:
            return Group(*(Padding(self._fact(fact), (0, 0, 0, fact.indent)) for fact in section.facts))
        table = Table.grid(padding=(0, 1), expand=True)
        longest = max(len(fact.label) for fact in section.facts)
        table.add_column(width=min(max(longest, _LEAST), _MOST), no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for fact in section.facts:
            table.add_row(Text(fact.label, self._look("label")), self._fact(fact))
        return table

    def _fact(self, fact: Fact) -> Text:
        return Text(
            printable(fact.text), self._look(fact.look), overflow="ellipsis" if fact.cut else "fold", no_wrap=fact.cut
        )

    def _look(self, name: str) -> Style:
        return ink(self, f"detail--{name}")


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
