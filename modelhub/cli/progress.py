"""Progress on stderr: a bar on a terminal, JSON lines with --json, warnings always, nothing else otherwise.

A stderr that is gone stops nobody: what cannot be shown is not worth a merge.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from modelhub.cli.streams import columns, is_unicode, live
from modelhub.cli.table import wrapped
from modelhub.jobs import Event, Job, Pace
from modelhub.text import human_seconds, human_size, one_line, pad, printable, shorten, width

_LEAST_ITEM = 8
#: Units a second, below which nothing is said of the time left.
_LEAST_RATE = 1e-6


class Bar:
    """One line on stderr that is drawn over and over; a warning is printed above it."""

    def __init__(self) -> None:
        self._shown = 0
        self._phase, self._pace = "", Pace()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock, suppress(OSError, ValueError):
            if event.level != "progress":
                self._clear()
                word = f"{event.level}: " if event.level != "info" else ""
                for line in wrapped(printable(word + event.item), 2, stream=sys.stderr):
                    print(line, file=sys.stderr, flush=True)
            elif live(sys.stderr) and os.environ.get("TERM") != "dumb":
                self._draw(event)

    def _draw(self, event: Event) -> None:
        if event.phase != self._phase or event.done == 0:
            self._phase, self._pace = event.phase, Pace()
        room = max(columns(sys.stderr) - 1, 1)
        rate = self._pace.rate(event.done - event.kept, time.monotonic())
        line = progress_line(event, rate, room, plain=not is_unicode(sys.stderr))
        print(f"\r{pad(line, max(room, self._shown))}", end="", file=sys.stderr, flush=True)
        self._shown = room

    def close(self) -> None:
        """Leave a clean line behind."""
        with self._lock, suppress(OSError, ValueError):
            self._clear()

    def _clear(self) -> None:
        if self._shown:
            print(f"\r{' ' * self._shown}\r", end="", file=sys.stderr, flush=True)
            self._shown = 0


def progress_line(event: Event, rate: float | None, room: int, *, plain: bool = False) -> str:
    """One line of at most `room` columns: phase, bar, share, amounts, speed, time left, item; first the last ones go.

    `rate` is how many units are done in a second, None if that is not known yet; `plain` draws in ASCII.
    """
    line = next((found for found in _lines(event, rate, plain) if width(found) <= room), event.phase[:room])
    left = room - width(line) - 2
    if event.item and left >= min(_LEAST_ITEM, width(one_line(event.item))):
        item = one_line(event.item)
        line += "  " + (item.encode("ascii", "backslashreplace").decode()[:left] if plain else shorten(item, left))
    return line


def _lines(event: Event, rate: float | None, plain: bool) -> Iterator[str]:
    """The line without its item, from long to short."""
    speed = f"  {human_size(int(rate))}/s" if rate is not None and event.unit == "bytes" else ""
    if not event.total:
        amount = f"{event.phase}  {_amount(event.done, event.unit)}"
        yield from (amount + speed, amount)
        return
    share = min(1.0, event.done / event.total)
    done = human_size(event.done) if event.unit == "bytes" else f"{event.done:,}"
    amounts = f"{done} of {_amount(event.total, event.unit)}"
    left = (
        f"  {human_seconds((event.total - event.done) / rate)} left"
        if rate and rate > _LEAST_RATE and share < 1
        else ""
    )
    whole, timed, brief = f"  {amounts}{speed}{left}", f"  {amounts}{left}", f"  {amounts}"
    for size, tail in ((20, whole), (10, whole), (10, timed), (10, brief), (10, ""), (0, "")):
        bar = f"{_bar(share, size, plain)} " if size else ""
        yield f"{event.phase}  {bar}{share:4.0%}{tail}"


def _bar(share: float, size: int, plain: bool) -> str:
    full, rest = "#." if plain else "━─"
    filled = round(share * size)
    return full * filled + rest * (size - filled)


def _amount(count: int, unit: str) -> str:
    return human_size(count) if unit == "bytes" else f"{count:,}{' ' + unit if unit else ''}"


class JsonLines:
    """Every event as a JSON object on a line of stderr."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        plain = {name: getattr(event, name) for name in ("job", "phase", "done", "total", "unit", "item", "level")}
        with self._lock, suppress(OSError, ValueError):
            import json

            sys.stderr.write(json.dumps(plain) + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Nothing to leave behind."""


def reporting_job(name: str, *, as_json: bool) -> tuple[Job, Bar | JsonLines]:
    """A job that reports to stderr, and its sink to close at the end.

    With MODELHUB_EVENTS=json it reports as with --json, whatever the answer is: so the TUI shows what a command does.
    """
    sink = JsonLines() if as_json or os.environ.get("MODELHUB_EVENTS") == "json" else Bar()
    return Job(name, sink), sink
