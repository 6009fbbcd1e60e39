"""The outlook of a merge in one line: its size and the free space, what would be merged, and what is to be minded."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.text import one_line, plural, shorten
from modelhub.tui.widgets.ink import ink

_LIVE = " ● live "


class OutlookLine(Widget):
    """`facts`, then `problem` if it cannot be, else the first of the `warnings`; a click asks for all of it."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "outlook--facts", "outlook--bad", "outlook--warn", "outlook--muted", "outlook--live",
    }  # fmt: skip

    facts: reactive[str] = reactive("")
    problem: reactive[str] = reactive("")
    missing: reactive[str] = reactive("")
    warnings: reactive[tuple[str, ...]] = reactive(())
    live: reactive[bool] = reactive(False)

    class Asked(Message):
        """The user wants to read all of it."""

    def show(self, facts: str = "", *, problem: str = "", missing: str = "", warnings: tuple[str, ...] = ()) -> None:
        """Another outlook; `missing` is what the form lacks before there can be one."""
        self.facts, self.problem, self.missing, self.warnings = facts, problem, missing, warnings

    def render(self) -> Text:
        """One line, with the live sign at its right end."""
        live = _LIVE if self.live else ""
        room = max(0, self.size.width - len(live))
        text = Text(no_wrap=True, end="")
        for words, look in self._words():
            left = room - text.cell_len
            text.append(shorten(one_line(words), left) if left > 1 else "", ink(self, f"outlook--{look}"))
        text.append(" " * max(0, room - text.cell_len))
        return text.append(live, ink(self, "outlook--live"))

    def _words(self) -> list[tuple[str, str]]:
        if self.problem:
            return [(f" ✗ {self.problem}", "bad")]
        if self.missing:
            return [(f" {self.missing}", "muted")]
        found = [(f" {self.facts}", "facts")]
        if self.warnings:
            more = f" (w: {plural(len(self.warnings), 'warning')})" if len(self.warnings) > 1 else ""
            found.append((f" · ! {self.warnings[0]}{more}", "warn"))
        return found

    @property
    def whole(self) -> str:
        """All of it, for a dialog."""
        return "\n\n".join(filter(None, (self.facts, self.problem, self.missing, *self.warnings)))

    def on_click(self) -> None:
        """Ask."""
        self.post_message(self.Asked())
