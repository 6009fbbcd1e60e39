"""What a list of jobs shows of each, in words: those of this interface, and the downloads that other processes run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modelhub.catalog.downloads import Download
from modelhub.errors import ModelhubError
from modelhub.text import clock, human_seconds, human_size
from modelhub.tui.jobs.record import JobRecord, Line, State
from modelhub.tui.places import PLACES

#: What stands before a job, by its state.
SIGNS = {"waiting": "○", "running": "▶", "done": "✓", "failed": "✗", "stopped": "■", "paused": "‖"}
LOOKS = {
    "waiting": "muted", "running": "run", "done": "good", "failed": "bad", "stopped": "muted", "paused": "muted",
}  # fmt: skip
#: What is called by its id in the bar of no place: the commands.
_TITLES = {place.id: place.title for place in PLACES} | {"running": "Commands", "commands": "Commands"}
_QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as it is shown; `record` is None for a download of the queue. `share` is how much is done, 0 to 1."""

    key: str
    title: str
    place: str
    state: str
    says: str = ""
    phase: str = ""
    share: float | None = None
    amount: str = ""
    speed: str = ""
    left: str = ""
    seconds: float | None = None
    error: ModelhubError | None = None
    record: JobRecord | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def place_title(self) -> str:
        """Where it was started, in the words of the bar of places."""
        return _QUEUE if self.record is None else _TITLES.get(self.place, self.place)

    @property
    def progress(self) -> str:
        """How far it is, how fast, and how long it will take."""
        return "  ".join(filter(None, (self.amount, self.speed, self.left and f"{self.left} left")))

    @property
    def log(self) -> Sequence[Line]:
        """What it said."""
        return [*self.record.log] if self.record else []


def rows(records: Iterable[JobRecord], queue: Iterable[Download]) -> list[JobRow]:
    """What runs, then what waits, then what is over; in each the newest first, those of the queue last."""
    shown = [*map(of_record, reversed([*records])), *map(of_download, queue)]
    order = {"running": 0, "waiting": 1, "paused": 1}
    return sorted(shown, key=lambda row: order.get(row.state, 2))


def of_record(record: JobRecord) -> JobRow:
    """The row of a job of this interface."""
    error = record.error
    row = JobRow(
        f"job {record.number}", record.title, record.place, str(record.state),
        record.says or (error.message if error else ""), error=error, record=record,
        seconds=record.seconds if record.began else None,
    )  # fmt: skip
    event = record.event
    if event is None or record.state is not State.RUNNING:
        return row
    left = record.seconds_left
    moving = replace(row, says=event.item, phase=event.phase, left=human_seconds(left) if left else "")
    return _moving(moving, event.done, event.total, event.unit, record.rate)


def _moving(row: JobRow, done: int, total: int | None, unit: str, rate: float | None = None) -> JobRow:
    """The row with how much is done of what, and how fast."""
    is_bytes = unit == "bytes"
    show = human_size if is_bytes else "{:,}".format
    amount = f"{show(done) if done or total else ''}{f'/{show(total)}' if total else ''}"
    speed = ""
    if rate and rate >= 0.05:
        speed = f"{human_size(int(rate))}/s" if is_bytes else f"{rate:.1f} {unit or 'steps'}/s"
    return replace(
        row, share=min(1.0, done / total) if total else None, amount=amount if is_bytes else f"{amount} {unit}".strip(),
        speed=speed,
    )  # fmt: skip


def of_download(row: Download) -> JobRow:
    """The row of a download that this process does not run."""
    key, error = f"download {row.id}", row.error
    shown = JobRow(key, row.title, "download", row.state, row.message or row.goal, error=error)
    if row.state != "running" and not row.done:
        return shown
    return _moving(shown, row.done, row.size, "bytes")


def moment(at: float | None) -> str:
    """When something was; `-` for what was not yet."""
    return "-" if at is None else clock(at, seconds=True)


def log_text(row: JobRow) -> str:
    """The whole log as text, to be copied."""
    head = f"{row.title}: {row.state}"
    return "\n".join([head, *(f"{moment(line.at)}  {line.level:8}{line.text}" for line in row.log)])


def error_text(row: JobRow) -> str:
    """The sentence of the error and the next step, to be copied; "" where there is none."""
    return f"{row.error.message}\n{row.error.hint}".strip() if row.error else ""
