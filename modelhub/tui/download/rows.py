"""The rows of the queue as they are shown: how far each is, how fast really, and how far all are together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelhub.catalog.downloads import Glance
from modelhub.jobs import Pace
from modelhub.text import human_size
from modelhub.tui.download.words import speed, time_left

#: Seconds without a sign of life, after which a running row was left behind by a process that is gone.
_SILENT = 15.0


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A row: `state` is that of the catalog, or `broken off` of what nobody runs any more; `done` bytes are there.

    `rate` is bytes a second, None while nobody can tell.
    """

    glance: Glance
    state: str
    done: int
    rate: float | None = None

    @property
    def left(self) -> int | None:
        """Bytes that are to come, None if that is not known."""
        return None if self.glance.size is None else max(self.glance.size - self.done, 0)

    @property
    def share(self) -> float | None:
        """How much of it is there, from 0 to 1; None if its size is not known."""
        if self.state == "done":
            return 1.0
        return min(self.done / self.glance.size, 1.0) if self.glance.size else None


class Paces:
    """How fast rows go: for each the bytes that came, without those that were there before."""

    def __init__(self) -> None:
        self._paces: dict[int, Pace] = {}
        self._last: dict[int, int] = {}

    def rows(self, glances: Iterable[Glance], sofar: Mapping[int, tuple[int, int]]) -> list[QueueRow]:
        """The rows now; `sofar` is what the runner of this process says of those that it runs."""
        return [self._row(one, sofar.get(one.id)) for one in glances]

    def _row(self, one: Glance, live: tuple[int, int] | None) -> QueueRow:
        if live is not None:
            return QueueRow(one, "running", live[0], self._rate(one.id, live[0] - live[1]))
        runs = one.state == "running" and time.time() - one.changed <= _SILENT
        if not (runs and one.done):  # what is there from an earlier try is counted at once: it is no speed
            self._paces.pop(one.id, None)
        if not runs:
            return QueueRow(one, "broken off" if one.state == "running" else one.state, one.done)
        return QueueRow(one, "running", one.done, self._rate(one.id, one.done) if one.done else None)

    def _rate(self, number: int, came: int) -> float | None:
        """Bytes a second; what began anew is measured anew."""
        if number not in self._paces or came < self._last.get(number, 0):
            self._paces[number] = Pace()
        self._last[number] = came
        return self._paces[number].rate(came, time.monotonic())


def summary(rows: Sequence[QueueRow]) -> str:
    """What all rows are at, in a line: `1 runs, 2 wait · 1.2 GB of 3.4 GB · 12 MB/s · 3 min 20 s left`."""
    counts = {state: sum(row.state == state for row in rows) for state in _COUNTED}
    parts = [", ".join(f"{count:,} {_COUNTED[state]}" for state, count in counts.items() if count)]
    coming = [row for row in rows if row.state in ("running", "waiting", "broken off")]
    if coming:
        done, rate = sum(row.done for row in coming), sum(row.rate or 0 for row in coming)
        sizes = [row.glance.size for row in coming]
        whole = None if None in sizes else sum(size or 0 for size in sizes)
        parts.append(f"{human_size(done)} of {human_size(whole)}" if whole is not None else human_size(done))
        parts += [speed(rate) if rate >= 1 else ""]
        left = time_left(None if whole is None else whole - done, rate)
        parts += [f"{left} left" if left else ""]
    return " · ".join(filter(None, parts))


_COUNTED = {
    "running": "running", "broken off": "broken off", "waiting": "waiting", "paused": "paused", "failed": "failed",
    "done": "done",
}  # fmt: skip
