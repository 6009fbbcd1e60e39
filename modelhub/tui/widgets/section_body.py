"""The drawing of sections of facts: titles, labels and texts, as the detail pane and the fits screen show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.widget import Widget

from modelhub.text import printable
from modelhub.tui.widgets.facts import Fact, Section
from modelhub.tui.widgets.ink import ink

_LOOKS = ("title", "path", "heading", "label", "value", "muted", "bad", "warn", "good", "star", "tag", "rule")
_LEAST, _MOST = 10, 16


class SectionBody(Widget):
    """Text of sections. A subclass gives them by `sections`; without any, `nothing` is shown."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"detail--{name}" for name in _LOOKS}
    nothing = "Nothing under the cursor."

    def sections(self) -> Iterable[Section]:
        """What is to be shown, the most important first."""
        raise NotImplementedError

    def render(self) -> RenderableType:
        """Sections of facts in two columns."""
        parts: list[RenderableType] = []
        for section in self.sections():
            if section.title:
                parts += [Text(""), Text(section.title.upper(), self._look("heading"))]
            parts.append(self._section(section))
        return Group(*parts) if parts else Text(self.nothing, self._look("muted"))

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
