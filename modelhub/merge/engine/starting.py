"""Start torch beside other work: its import takes a second, in which files can be hashed and copied."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from threading import Thread


def start_torch() -> None:
    """Begin to import torch on a thread of its own; whoever imports it meanwhile waits for that."""
    if "torch" not in sys.modules:
        Thread(target=_import, name="torch").start()


def _import() -> None:
    """Without the collector, which would look through the many objects that come to stay again and again.

    Nor does it look at them later: each look through all of torch would stop an interface for 50 ms.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        with suppress(ImportError, OSError):  # whoever needs it imports it, too, and is told
            import torch  # noqa: F401
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
