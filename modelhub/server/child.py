"""A TUI in a browser ends with the server that started it, however that ended."""

from __future__ import annotations

import os
import signal
import time
from threading import Thread

#: The environment variable with the number of the server's process.
PARENT = "MODELHUB_SERVER"
#: Seconds between two looks, and those that the TUI gets to leave in order.
_PAUSE, _TO_LEAVE = 1.0, 5.0


def follow_parent() -> None:
    """End this process when the server is gone that started it; nothing to do where none did."""
    parent = os.environ.pop(PARENT, "")
    if parent.isdecimal():
        Thread(target=_watch, args=(int(parent),), name="server", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_TO_LEAVE)
    os._exit(1)
