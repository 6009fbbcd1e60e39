"""Ctrl-C, a closed terminal and a polite kill: the job stops at its next step and cleans up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.jobs import Job

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stoppable(job: Job) -> Iterator[None]:
    """Let signals cancel `job`; the second one interrupts at once. One that is ignored (nohup) stays ignored.

    Any further one is too: what it would interrupt is the cleaning up.
    """
    interrupted = False

    def stop(number: int, frame: Any) -> None:
        nonlocal interrupted
        if job.cancelled and not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        job.cancel()

    before: dict[signal.Signals, Any] = {}
    try:
        for one in _SIGNALS:
            if signal.getsignal(one) not in (signal.SIG_IGN, None):
                before[one] = signal.signal(one, stop)
    except ValueError:  # not the main thread: nothing to catch there
        before.clear()
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
