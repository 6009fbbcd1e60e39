"""Signals: the first cancels, the second interrupts, and no other comes in the way of the cleaning up."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from modelhub.cli.stopping import stoppable
from modelhub.jobs import Job


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Whoever runs the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_only_the_second_signal_interrupts() -> None:
    job, cleaned = Job("test"), False
    with stoppable(job):
        signal.raise_signal(signal.SIGINT)
        assert job.cancelled
        try:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        finally:
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            cleaned = True
    assert cleaned
    with pytest.raises(KeyboardInterrupt):  # as it was before
        signal.raise_signal(signal.SIGINT)
