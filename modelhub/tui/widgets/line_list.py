"""A list that draws only the lines that are seen: cursor, keys, mouse and scrolling, for any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from modelhub.text import one_line, shorten
from modelhub.tui.actions import bindings
from modelhub.tui.widgets.ink import ink


def cell(text: str, columns: int, *, right: bool = False) -> str:
    """Untrusted `text` on exactly `columns` columns of the terminal, cut in the middle where it is too long."""
    text = shorten(one_line(text), columns)
    return set_cell_size(" " * (columns - len(text)) + text if right else text, columns)


class LineList(ScrollView, can_focus=True):
    """`count` rows under `header` fixed lines; `empty` is what is said where there are none.

    A subclass gives `row` and, if it has a header, `heading`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--cursor", "list--cursor-blurred", "list--hover", "list--muted"}
    ALLOW_SELECT = False
    header = 0

    # a step draws two lines, not the window: it is seen at once on a slow line too
    cursor: reactive[int] = reactive(0, repaint=False)
    count: reactive[int] = reactive(0)
    hover: reactive[int] = reactive(-1, repaint=False)
    empty: reactive[str] = reactive("")

    @dataclass
    class RowMessage(Message):
        """Something about a row of a list."""

        source: LineList
        row: int

        @property
        def control(self) -> LineList:
            """The list it is about."""
            return self.source

    class Highlighted(RowMessage):
        """The cursor is on another row, or another thing is on its row."""

        def can_replace(self, message: Message) -> bool:
            """Only the last place of a fast cursor matters."""
            return isinstance(message, LineList.Highlighted) and message.source is self.source

    class Chosen(RowMessage):
        """A row was clicked twice."""

    class Clicked(RowMessage):
        """A row was clicked."""

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """The segments of a row; `style` is that of the line, cursor and hover included."""
        raise NotImplementedError

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """The segments of header line `y`."""
        raise NotImplementedError

    @property
    def rows_seen(self) -> int:
        """How many rows fit in the window."""
        return max(1, self.size.height - self.header)

    def render_line(self, y: int) -> Strip:
        """Line `y` of the window, or of what is said in the middle of an empty one."""
        width = self.size.width
        said = [] if self.count else self.empty.splitlines()
        number = y - max(self.header, (self.size.height - len(said)) // 2)
        if 0 <= number < len(said):
            text = cell(said[number].center(width), width)
            return Strip([Segment(text, self.rich_style + ink(self, "list--muted"))], width)
        if y < self.header:
            return Strip(self.heading(y, width)).adjust_cell_length(width, self.rich_style)
        number = self.scroll_offset.y + y - self.header
        if number >= self.count:
            return Strip.blank(width, self.rich_style)
        style = self._line_style(number)
        return Strip(self.row(number, width, style)).adjust_cell_length(width, style)

    def _line_style(self, number: int) -> Style:
        if number == self.cursor:
            name = "list--cursor" if self.has_focus else "list--cursor-blurred"
            return self.rich_style + self.get_component_rich_style(name)
        if number == self.hover:
            return self.rich_style + self.get_component_rich_style("list--hover")
        return self.rich_style

    def validate_cursor(self, cursor: int) -> int:
        """The nearest row there is."""
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, before: int, after: int) -> None:
        """Keep the cursor in sight and tell who listens."""
        for number in (before, after):
            self._refresh_row(number)
        self.show_cursor()
        self.tell(self.Highlighted(self, after))

    def watch_count(self, count: int) -> None:
        """The scroll bar follows the number of rows."""
        self.virtual_size = Size(1, count + self.header)
        self.cursor = self.validate_cursor(self.cursor)
        self.refresh()

    def watch_empty(self) -> None:
        """Draw it."""
        self.refresh()

    def watch_hover(self, before: int, after: int) -> None:
        """Draw the two lines that changed."""
        for number in (before, after):
            self._refresh_row(number)

    def watch_has_focus(self, has_focus: bool) -> None:
        """The cursor looks different without focus."""
        super().watch_has_focus(has_focus)
        self._refresh_row(self.cursor)

    def tell(self, message: Message) -> None:
        """Post a message as the list's own: one that is taken for the parent's would not rise past it."""
        self.post_message(message.set_sender(self))

    def _refresh_row(self, number: int) -> None:
        if number >= 0:
            self.refresh_line(number + self.header)

    def show_cursor(self) -> None:
        """Scroll as little as it takes to see the cursor."""
        top, seen = self.scroll_offset.y, self.rows_seen
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False, force=True)

    def on_resize(self) -> None:
        """A smaller window must not lose the cursor."""
        self.show_cursor()

    def action_cursor_up(self) -> None:
        """One row up."""
        self.cursor -= 1

    def action_cursor_down(self) -> None:
        """One row down."""
        self.cursor += 1

    def action_page_up(self) -> None:
        """One window up."""
        self.cursor -= self.rows_seen - 1 or 1

    def action_page_down(self) -> None:
        """One window down."""
        self.cursor += self.rows_seen - 1 or 1

    def action_half_up(self) -> None:
        """Half a window up."""
        self.cursor -= self.rows_seen // 2 or 1

    def action_half_down(self) -> None:
        """Half a window down."""
        self.cursor += self.rows_seen // 2 or 1

    def action_cursor_home(self) -> None:
        """To the first row."""
        self.cursor = 0

    def action_cursor_end(self) -> None:
        """To the last row."""
        self.cursor = self.count - 1

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one chooses."""
        number = self._row_at(event)
        if number is None:
            return
        self.cursor = number
        self.tell(self.Chosen(self, number) if event.chain == 2 else self.Clicked(self, number))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The line under the mouse is lit."""
        number = self._row_at(event)
        self.hover = -1 if number is None else number

    def on_leave(self) -> None:
        """The mouse is gone."""
        self.hover = -1

    def _row_at(self, event: events.MouseEvent) -> int | None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.header:
            return None
        number = self.scroll_offset.y + offset.y - self.header
        return number if number < self.count else None
