"""Work for processes of their own: functions that can be named there."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from modelhub.errors import IncompatibleError


def counting(start, stop, *, job, told):
    """Count, tell every number, and say which process this is."""
    print("not for the screen")
    with job.phase("counting", stop - start, "numbers") as advance:
        for number in range(start, stop):
            advance(1, f"number {number}")
            told(number)
    job.say("Counted.", "warning")
    return os.getpid()


def refusing(*, job):
    """An error that can be explained."""
    raise IncompatibleError("These do not fit.", "Take others.")


def breaking(*, job):
    """An error that nobody expected."""
    raise ZeroDivisionError("by nothing")


def secret(*, job):
    """A result that no other process can have."""
    return lambda: None


def writing(marker: Path, *, job):
    """Write for ever, and clear up when stopped."""
    marker.write_text("half-written")
    try:
        with job.phase("writing", None) as advance:
            while True:
                advance(0, "at work")
                time.sleep(0.01)
    finally:
        marker.unlink()


def killed(number, *, job):
    """Ended from outside, as by the kernel when memory is short."""
    print("memory is short", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)
    signal.pause()
