"""Dates as Civitai writes them, and as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modelhub.text import plural


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def moment(value: Any) -> datetime | None:
    """A moment out of JSON, in UTC; None for what is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def spoken(when: datetime, today: datetime | None = None) -> str:
    """`2026-11-03 14:00 UTC (in 3 days)`."""
    return f"{when:%Y-%m-%d %H:%M} UTC ({_distance(when - (today or now()))})"


def _distance(left: timedelta) -> str:
    ago = left < timedelta(0)
    minutes = max(1, round(abs(left).total_seconds() / 60))
    for size, word in ((24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            words = plural(round(minutes / size), word)
            break
    return f"{words} ago" if ago else f"in {words}"
