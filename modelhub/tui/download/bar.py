"""The field of downloads: an address, or words; and the strip of pages under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from modelhub.text import shorten
from modelhub.text import width as columns_of
from modelhub.tui.download.asking import pasted_sources
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ink import ink

HINT = "paste a URL, AIR, repo id or hash, or type words to search"


class SourceInput(TextField):
    """A field that takes several lines at once, each of them a source."""

    @dataclass
    class Pasted(Message):
        """Sources were pasted into the empty field."""

        sources: list[str]

    def on_paste(self, event: events.Paste) -> None:
        """Sources go where they are meant to; other text is typed."""
        sources = pasted_sources(event.text)
        if sources and not self.value:
            event.stop()
            event.prevent_default()
            self.post_message(self.Pasted(sources))


class SourceBar(Widget):
    """The field, and what it is for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Empty the field, then leave it", show=False, id="source.clear"),
        Binding("down", "leave(False)", "Go to the list", show=False, id="source.leave"),
    ]

    @dataclass
    class Typed(Message):
        """A line was typed and taken."""

        text: str

    class Left(Message):
        """The user is done with the field."""

    def compose(self) -> ComposeResult:
        """A prompt and the field."""
        with Horizontal():
            yield Static(" ↓ ", id="arrow", markup=False)
            yield SourceInput(placeholder=HINT, compact=True, select_on_focus=False, id="source")

    @property
    def input(self) -> SourceInput:
        """The field."""
        return self.query_one(SourceInput)

    def action_leave(self, clear: bool) -> None:
        """Empty it first, if that is asked for and there is something in it."""
        if clear and self.input.value:
            self.input.value = ""
        else:
            self.post_message(self.Left())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Typed(event.value.strip()))

    def on_click(self) -> None:
        """A click anywhere in the bar is one into the field."""
        self.input.focus()


class Steps(Widget):
    """The pages by number and title, the one at hand lit; what goes on stands at the right."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"steps--step", "steps--here", "steps--count", "steps--busy"}
    here: reactive[str] = reactive("queue")
    counts: reactive[Mapping[str, int]] = reactive({})
    busy: reactive[str] = reactive("")

    @dataclass
    class Chosen(Message):
        """A page was clicked."""

        page: str

    def __init__(self, titles: Mapping[str, str]) -> None:
        super().__init__()
        self._titles = titles

    def _spans(self) -> list[tuple[str, str, str]]:
        """Page, its title with the number of its key, and how much is on it."""
        numbered = enumerate(self._titles.items(), 1)
        counted = {name: f"{count:,} " if (count := self.counts.get(name, 0)) else "" for name in self._titles}
        return [(page, f" {number} {title} ", counted[page]) for number, (page, title) in numbered]

    def render(self) -> Text:
        """One line."""
        text = Text(no_wrap=True, end="")
        for page, title, count in self._spans():
            here = page == self.here
            text.append(title, self.get_component_rich_style("steps--here") if here else ink(self, "steps--step"))
            text.append(count, self.get_component_rich_style("steps--here") if here else ink(self, "steps--count"))
        busy = shorten(self.busy, max(0, self.size.width - text.cell_len - 2))
        text.append(" " * (self.size.width - text.cell_len - columns_of(busy) - 1))
        text.append(busy, ink(self, "steps--busy"))
        return text

    def on_click(self, event: events.Click) -> None:
        """Go to the page that was clicked."""
        at = 0
        for page, title, count in self._spans():
            at += len(title) + len(count)
            if event.x < at:
                self.post_message(self.Chosen(page))
                return
