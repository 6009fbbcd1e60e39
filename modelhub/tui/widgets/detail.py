"""The detail pane: everything that is known of one asset, and why it is believed."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.catalog.asset import Asset
from modelhub.tui.widgets.facts import Fact, Section, sections


class DetailBody(Widget):
    """The text of the pane, drawn from an asset."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"detail--{name}" for name in ("title", "path", "heading", "label", "value", "muted", "bad", "warn", "good", "star", "tag", "rule")
    }  # fmt: skip

    asset: reactive[Asset | None] = reactive(None, layout=True)

    def render(self) -> RenderableType:
        """Sections of facts in two columns."""
        if self.asset is None:
            return Text("Nothing under the cursor.", self._style("muted"))
        parts: list[RenderableType] = []
        for section in sections(self.asset):
            parts += [Text(""), Text(section.title.upper(), self._style("heading"))] if section.title else []
            parts.append(self._section(section))
        return Group(*parts)

    def _section(self, section: Section) -> RenderableType:
        if not section.labelled:
            return Group(*(self._text(fact) for fact in section.facts))
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=11, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for fact in section.facts:
            table.add_row(Text(fact.label, self._style("label")), self._text(fact))
        return table

    def _text(self, fact: Fact) -> Text:
        text = Text(fact.text, self._style(fact.look), overflow="ellipsis" if fact.cut else "fold", no_wrap=fact.cut)
        return text

    def _style(self, look: str) -> Style:
        return self.get_component_rich_style(f"detail--{look}", partial=True)


class Detail(VerticalScroll, can_focus=True):
    """The pane around it."""

    asset: reactive[Asset | None] = reactive(None)

    def compose(self) -> list[DetailBody]:  # type: ignore[override]  # a list is an iterable of widgets
        """The body."""
        return [DetailBody()]

    def watch_asset(self, before: Asset | None, after: Asset | None) -> None:
        """Show another asset from its top, or new facts of the same where the reader is."""
        self.query_one(DetailBody).asset = after
        if before is None or after is None or before.id != after.id:
            self.scroll_home(animate=False)
