"""Progress on stderr: a bar on a terminal, JSON lines with --json, warnings always, nothing else otherwise."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time

from modelhub.jobs import Event, Job
from modelhub.text import human_seconds, human_size, one_line, pad, printable


class Bar:
    """One line on stderr that is drawn over and over; a warning is printed above it."""

    def __init__(self) -> None:
        self._shown = False
        self._phase, self._started = "", 0.0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.level != "progress":
                self._clear()
                print(printable(event.item), file=sys.stderr, flush=True)
            elif sys.stderr.isatty():
                self._draw(event)

    def _draw(self, event: Event) -> None:
        if event.phase != self._phase or event.done == 0:
            self._phase, self._started = event.phase, time.monotonic()
        columns = shutil.get_terminal_size().columns - 1
        line = pad(self._line(event, columns), columns)
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
        self._shown = True

    def _line(self, event: Event, columns: int) -> str:
        counted = _amount(event.done, event.unit)
        if not event.total:
            return f"{event.phase} {counted}  {one_line(event.item)}"
        share = min(1.0, event.done / event.total)
        seconds = time.monotonic() - self._started
        left = f"  {human_seconds(seconds / share - seconds)} left" if 0 < share < 1 and seconds > 1 else ""
        filled = round(share * 20)
        bar = "━" * filled + "─" * (20 - filled)
        total = _amount(event.total, event.unit)
        return f"{event.phase} {bar} {share:4.0%}  {counted} of {total}{left}  {one_line(event.item)}"

    def close(self) -> None:
        """Leave a clean line behind."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def _amount(count: int, unit: str) -> str:
    return human_size(count) if unit == "bytes" else f"{count:,}{' ' + unit if unit else ''}"


class JsonLines:
    """Every event as a JSON object on a line of stderr."""

    def __call__(self, event: Event) -> None:
        plain = {name: getattr(event, name) for name in ("job", "phase", "done", "total", "unit", "item", "level")}
        print(json.dumps(plain), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to leave behind."""


def reporting_job(name: str, *, as_json: bool) -> tuple[Job, Bar | JsonLines]:
    """A job that reports to stderr, and its sink to close at the end."""
    sink = JsonLines() if as_json else Bar()
    return Job(name, sink), sink
