"""The jobs of earlier days: the last of them as plain values, which survive a restart, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelhub.errors import ModelhubError
from modelhub.tui.jobs.record import JobRecord, Line, State

#: Jobs that are kept, and of each the last lines and the characters of a line.
JOBS, _LINES, _LONGEST = 100, 20, 600
_LEFT = Line(0.0, "warning", "modelhub was left while it ran.")


def plain(records: Iterable[JobRecord]) -> list[dict[str, Any]]:
    """The last jobs as plain values; one that is not over counts as stopped, for then modelhub was left meanwhile."""
    return [_plain(record) for record in [*records][-JOBS:]]


def _plain(record: JobRecord) -> dict[str, Any]:
    lines = [[line.at, line.level, line.text[:_LONGEST]] for line in [*record.log][-_LINES:]]
    error = record.error
    return {
        "title": record.title, "place": record.place, "state": str(record.state), "says": record.says,
        "error": [error.message[:_LONGEST], error.hint[:_LONGEST]] if error else None,
        "began": record.began, "ended": record.ended, "log": lines,
    }  # fmt: skip


def recalled(kept: Any) -> list[JobRecord]:
    """The records of plain values, under numbers below 1; what makes no sense is left out."""
    rows = [row for row in kept if isinstance(row, dict)][-JOBS:] if isinstance(kept, list) else []
    return [_recalled(row, at - len(rows) + 1) for at, row in enumerate(rows)]


def _recalled(row: dict[str, Any], number: int) -> JobRecord:
    state, was_open = _state(row.get("state"))
    record = JobRecord(number, _text(row.get("title")) or "Job", _text(row.get("place")), state=state)
    record.says, record.error = _text(row.get("says")), _error(row.get("error"))
    record.began, record.ended = _moment(row.get("began")), _moment(row.get("ended"))
    log = row.get("log")
    record.log.extend(_lines(log if isinstance(log, list) else []))
    if record.began is not None and record.ended is None:
        record.ended = max([record.began, *(line.at for line in record.log)])
    if was_open:
        record.log.append(_LEFT._replace(at=record.ended or 0.0))
    return record


def _state(word: Any) -> tuple[State, bool]:
    """The state, and whether the job was not over."""
    known = {str(state): state for state in State}
    state = known.get(word, State.STOPPED) if isinstance(word, str) else State.STOPPED
    was_open = state in (State.WAITING, State.RUNNING)
    return (State.STOPPED if was_open else state), was_open


def _error(value: Any) -> ModelhubError | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    return ModelhubError(_text(value[0]), _text(value[1]))


def _lines(values: list[Any]) -> Iterable[Line]:
    for value in values:
        if isinstance(value, list) and len(value) == 3 and _moment(value[0]) is not None:
            yield Line(float(value[0]), _text(value[1]), _text(value[2]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> float | None:
    """Seconds since 1970 that a clock could show."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 2**36 else None
