"""Help: the keys that hold where it was asked for, the query language; typing finds a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from modelhub.tui.finding.help_texts import HelpSection, filtered, help_sections
from modelhub.tui.keys.key_names import key_name as key_name
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ink import ink

_LEAST, _MOST = 12, 34


class HelpBody(Widget):
    """The text of the help, and of that what was typed for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"help--heading", "help--key", "help--text"}
    typed: reactive[str] = reactive("", layout=True)

    def __init__(self, sections: Sequence[HelpSection]) -> None:
        super().__init__()
        self.sections = sections

    def render(self) -> RenderableType:
        """A table for each section."""
        found = filtered(self.sections, self.typed)
        if not found:
            return Text("\nNothing of that is in the help.", ink(self, "help--text"))
        parts: list[RenderableType] = []
        for section in found:
            parts += [Text(f"\n{section.title.upper()}", ink(self, "help--heading")), self._table(section)]
        return Group(*parts)

    def _table(self, section: HelpSection) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        widest = max(len(line.left) for line in section.lines)
        table.add_column(width=min(max(widest, _LEAST), _MOST))
        table.add_column(ratio=1)
        for left, right in section.lines:
            table.add_row(Text(left, ink(self, "help--key")), Text(right, ink(self, "help--text")))
        return table


class HelpScreen(ModalScreen[None]):
    """The help over whatever screen it was asked from, for its scope and the widget that has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1", "leave", "Close", show=False, id="help.close"),
        Binding("up", "scroll(-1)", "Up", show=False, id="help.up"),
        Binding("down", "scroll(1)", "Down", show=False, id="help.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True, id="help.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True, id="help.page_down"),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, scope: str, focused: Widget | None) -> None:
        super().__init__()
        self._scope, self._asked_from = scope, focused

    def compose(self) -> ComposeResult:
        """A field over a scrolling box."""
        keys = getattr(self.app, "keys", {})
        with Vertical(classes="dialog -tall") as box:
            box.border_title = "Keys and queries"
            yield TextField(placeholder="type to find a key or a word", compact=True, select_on_focus=False)
            with VerticalScroll(can_focus=False):
                yield HelpBody(help_sections(self._scope, self._asked_from, keys))
            yield Static("type to find · arrows scroll · escape closes", markup=False, classes="keys")

    @property
    def _scroll(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one(HelpBody).typed = event.value
        self._scroll.scroll_home(animate=False)

    def action_scroll(self, lines: int) -> None:
        """A line up or down."""
        self._scroll.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """A page up or down."""
        self._scroll.scroll_relative(y=pages * (self._scroll.size.height - 1), animate=False)

    def action_leave(self) -> None:
        """Empty the field, or close."""
        field = self.query_one(Input)
        if field.value:
            field.value = ""
        else:
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        """A click beside the box closes it."""
        if event.widget is self:
            self.dismiss(None)
