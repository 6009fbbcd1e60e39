"""torch is imported beside other work, by a thread that ends, and whoever needs it gets it whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

_START = """
import gc, sys, threading, time
from modelhub.merge.engine.starting import start_torch
started = time.thread_time()
start_torch()
assert time.thread_time() - started < 0.5 and threading.active_count() <= 2
import torch
assert torch.ones(2).sum() == 2
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
start_torch()
assert threading.active_count() == 1 and gc.isenabled() and gc.get_freeze_count() > len(gc.get_objects())
print("fine")
"""


def test_whoever_imports_it_meanwhile_waits_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", _START], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("fine\n", "")
