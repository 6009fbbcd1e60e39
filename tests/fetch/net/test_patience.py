"""Waits: as told, as seconds or as a date, else growing; they end when the job does."""

from __future__ import annotations

import threading
import time

import pytest

from modelhub.errors import CancelledError
from modelhub.fetch.net.patience import Patience, seconds_of, wait
from modelhub.jobs import Job

NOW = 1_761_032_909.0  # Tue, 21 Oct 2025 07:48:29 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Tue, 21 Oct 2025 07:48:41 GMT", 12.0),
        ("Tue, 21 Oct 2025 09:48:41 +0200", 12.0),
        ("Tuesday, 21-Oct-25 07:48:41 GMT", 12.0),
        ("Tue, 21 Oct 2025 07:00:00 GMT", 0.0),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Tue, 99 Oct 2025 07:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None):
    assert seconds_of(header, NOW) == seconds


def test_pauses_grow_to_a_limit():
    assert [Patience().pause(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 10_000)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_wait_ends_with_its_job():
    job = Job("test")
    threading.Timer(0.05, job.cancel).start()
    before = time.monotonic()
    with pytest.raises(CancelledError):
        wait(60, job)
    assert time.monotonic() - before < 5
