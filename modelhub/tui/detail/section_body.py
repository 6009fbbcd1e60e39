"""The drawing of sections of facts: titles, labels and texts, as the detail pane and the fits screen show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.fact_lines import Laid, lay_out
from modelhub.tui.widgets.ink import ink

_LOOKS = ("title", "path", "heading", "label", "value", "muted", "bad", "warn", "good", "star", "tag", "rule", "link")
_STATES = ("cursor", "hover")


class SectionBody(Widget):
    """Text of sections. A subclass gives them by `sections`; without any, `nothing` is shown.

    `cursor` is the fact that is chosen, -1 for none; it is seen while `lit`.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"detail--{name}" for name in (*_LOOKS, *_STATES)}
    nothing = "Nothing under the cursor."

    cursor: reactive[int] = reactive(-1)
    lit: reactive[bool] = reactive(False)
    hover: reactive[int] = reactive(-1)

    @dataclass
    class Clicked(Message):
        """A fact was clicked."""

        number: int
        fact: Fact

    def __init__(self) -> None:
        super().__init__()
        self._laid: tuple[int, Laid] | None = None

    def sections(self) -> Iterable[Section]:
        """What is to be shown, the most important first."""
        raise NotImplementedError

    # -- lines ---------------------------------------------------------------------------------------------------------

    def laid(self, width: int | None = None) -> Laid:
        """The lines for a width, that of the widget if none is given; laid out once."""
        width = self.size.width if width is None else width
        if self._laid is None or self._laid[0] != width:
            shown = list(self.sections()) or [Section("", (Fact("", self.nothing, "muted"),), labelled=False)]
            self._laid = width, lay_out(shown, width, self._look, self.app.console)
        return self._laid[1]

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Draw again; with another layout the lines are made anew. As many lines as before move nothing else."""
        if layout or recompose:
            self._laid = None
            layout = not (self.size.width and len(self.laid().lines) == self.size.height)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Other colours."""
        self._laid = None
        super().notify_style_update()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are lines."""
        return len(self.laid(width).lines) if width else 0

    def render_line(self, y: int) -> Strip:
        """A line, lit if it is of the fact under the cursor or under the mouse."""
        laid, width = self.laid(), self.size.width
        if y >= len(laid.lines):
            return Strip.blank(width, self.rich_style)
        style = self._line_style(laid.owners[y])
        segments = Segment.apply_style(laid.lines[y].render(self.app.console), style)
        return Strip(segments).adjust_cell_length(width, style)

    def _line_style(self, owner: int) -> Style:
        state = "cursor" if self.lit and owner == self.cursor else "hover" if owner == self.hover else ""
        if owner < 0 or not state:
            return self.rich_style
        return self.rich_style + self.get_component_rich_style(f"detail--{state}")

    def _look(self, name: str) -> Style:
        return ink(self, f"detail--{name}")

    # -- the mouse -----------------------------------------------------------------------------------------------------

    def _fact_at(self, event: events.MouseEvent) -> int:
        offset, owners = event.get_content_offset(self), self.laid().owners
        return owners[offset.y] if offset is not None and offset.y < len(owners) else -1

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """What can be taken is lit."""
        self.hover = self._fact_at(event)

    def on_leave(self) -> None:
        """The mouse is gone."""
        self.hover = -1

    def on_click(self, event: events.Click) -> None:
        """Say which fact was clicked."""
        number = self._fact_at(event)
        if number >= 0:
            self.post_message(self.Clicked(number, self.laid().facts[number]))
