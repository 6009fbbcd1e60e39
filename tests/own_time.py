"""How much time work takes by itself, on a machine that does other things as well."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """What is inside takes less than `seconds` of this thread's CPU time.

    Neither other threads nor looking for garbage among what earlier tests left count: limits are about work that
    grows with the square of its input, or never ends.
    """
    had = gc.isenabled()
    gc.disable()
    start = time.thread_time()
    try:
        yield
        took = time.thread_time() - start
    finally:
        if had:
            gc.enable()
    assert took < seconds, f"{took:.2f} s of CPU time"
