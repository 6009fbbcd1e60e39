"""Start the world for a person: `PYTHONPATH=tests python -m world [FILE...]` prints what to set, and runs until Ctrl-C.

With files it offers these alone, each under its name at the storage host; without, a few small models.
"""

from __future__ import annotations

import contextlib
import sys
import threading

from world.serving_people import serve

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), serve(*sys.argv[1:], stocked=not sys.argv[1:]):
        threading.Event().wait()
