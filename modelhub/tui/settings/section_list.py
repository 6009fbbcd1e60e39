"""The sections of the settings; the one under the cursor is shown."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType

from modelhub.tui.settings.fields import SECTIONS
from modelhub.tui.widgets.line_list import LineList, cell


class SectionList(LineList):
    """Enter or right goes into the section."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,right,l", "enter", "Open", show=False, id="sections.enter"),
    ]

    class Entered(LineList.RowMessage):
        """The user wants to go into the section."""

    def on_mount(self) -> None:
        """All of them."""
        self.count = len(SECTIONS)

    @property
    def current(self) -> str:
        """The id of the section under the cursor."""
        return list(SECTIONS)[self.cursor]

    def action_enter(self) -> None:
        """Into it."""
        self.tell(self.Entered(self, self.cursor))

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """Its title."""
        return [Segment(cell(f"  {list(SECTIONS.values())[number]}", width), style)]
