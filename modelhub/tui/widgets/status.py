"""The status line: what the running job is at, with a bar, and how to stop it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.jobs import Event
from modelhub.text import human_seconds, human_size, one_line, shorten
from modelhub.tui.widgets.ink import ink

_BAR = 20


class StatusLine(Widget):
    """Shows an event of a job, its speed of `rate` units a second, and how to stop it; without an event nothing."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"status--phase", "status--done", "status--rest", "status--item"}

    event: reactive[Event | None] = reactive(None)
    rate: reactive[float | None] = reactive(None)
    hint: reactive[str] = reactive("esc stops")

    def watch_event(self, event: Event | None) -> None:
        """Appear and vanish."""
        self.display = event is not None

    def render(self) -> Text:
        """Phase, bar, numbers, the item at hand, and how to stop it."""
        event = self.event
        if event is None:
            return Text()
        text = Text(no_wrap=True, end="")
        text.append(f" {event.phase or event.job} ", ink(self, "status--phase"))
        if event.total:
            full = round(_BAR * min(1.0, event.done / event.total))
            text.append("━" * full, ink(self, "status--done"))
            text.append("━" * (_BAR - full), ink(self, "status--rest"))
        text.append(f" {_amount(event)} {_pace(event, self.rate)}", ink(self, "status--phase"))
        hint = f"  {self.hint} "
        room = self.size.width - text.cell_len - len(hint)
        text.append(shorten(one_line(event.item), max(0, room)).ljust(max(0, room)), ink(self, "status--item"))
        return text.append(hint, ink(self, "status--item"))


def _amount(event: Event) -> str:
    """How far it is: 3/20 steps, 1.2 GB/2.13 GB."""
    show = human_size if event.unit == "bytes" else "{:,}".format
    done = show(event.done) if event.done or event.total else ""
    total = f"/{show(event.total)}" if event.total else ""
    return f"{done}{total} {'' if event.unit == 'bytes' else event.unit}".strip()


def _pace(event: Event, rate: float | None) -> str:
    """How fast it is, where bytes are counted, and how long it will take."""
    if not rate or rate < 1e-6:
        return ""
    speed = f"{human_size(int(rate))}/s " if event.unit == "bytes" else ""
    if not event.total or event.done >= event.total:
        return speed
    return f"{speed}{human_seconds((event.total - event.done) / rate)} left "
