"""The list of themes: each with its colours, and worn while the cursor is on it."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color, ColorParseError
from textual.theme import Theme
from textual.timer import Timer

from modelhub.tui.themes import hub_of, keep_theme, settled_theme, try_theme
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_PAUSE = 0.08
_PARTS = ("primary", "secondary", "accent", "success", "warning", "error")
_NAME = 24


class ThemeList(LineList):
    """Enter keeps the theme under the cursor; leaving takes it off again."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "take", "Keep theme", id="themes.take")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--label", "list--mark", "list--muted"}

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._themes: list[Theme] = []
        self._pause: Timer | None = None

    def on_mount(self) -> None:
        """All themes that there are; the cursor on the one that is worn."""
        self._themes = [theme for _, theme in sorted(self.app.available_themes.items())]
        self.count = len(self._themes)
        self._to_kept()

    def _to_kept(self) -> None:
        names = [theme.name for theme in self._themes]
        kept = settled_theme(hub_of(self))
        with self.prevent(LineList.Highlighted):
            self.cursor = names.index(kept) if kept in names else 0

    def watch_cursor(self, before: int, after: int) -> None:
        """Try the theme on where the cursor rests."""
        super().watch_cursor(before, after)
        if self._pause is not None:
            self._pause.stop()
        if self.has_focus and self._themes:
            self._pause = self.set_timer(_PAUSE, self._try)

    def _try(self) -> None:
        try_theme(hub_of(self), self._themes[self.cursor].name)

    def action_take(self) -> None:
        """Keep it."""
        if self._pause is not None:
            self._pause.stop()
        if self._themes:
            try_theme(hub_of(self), self._themes[self.cursor].name)
            keep_theme(hub_of(self), self._themes[self.cursor].name)
            self.refresh()

    def on_blur(self, event: events.Blur) -> None:
        """What was tried on is taken off."""
        if self._pause is not None:
            self._pause.stop()
        try_theme(hub_of(self), settled_theme(hub_of(self)))
        self._to_kept()

    def on_line_list_chosen(self) -> None:
        """Clicked twice."""
        self.action_take()

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """Whether it is kept, its name, its colours."""
        theme = self._themes[number]
        kept = theme.name == settled_theme(hub_of(self))
        return [
            Segment(" ● " if kept else "   ", style + ink(self, "list--mark")),
            Segment(cell(theme.name, _NAME), style + ink(self, "list--label")),
            *(Segment("██", style + Style(color=colour)) for colour in _colours(theme)),
            Segment(
                cell("  dark" if theme.dark else "  light", max(0, width - _NAME - 15)),
                style + ink(self, "list--muted"),
            ),
        ]


def _colours(theme: Theme) -> list[str | None]:
    """Its colours as Rich has them; None for one that is the terminal's own."""
    return [_colour(getattr(theme, part)) for part in _PARTS]


def _colour(text: str | None) -> str | None:
    try:
        colour = Color.parse(text) if text else None
    except ColorParseError:
        return None
    return None if colour is None or colour.ansi is not None else colour.rich_color.name
