"""The processes that read headers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_READS = """
import multiprocessing, time
from modelhub.scan.know import know_all
known = know_all([("/nowhere", False)] * 400, 2)
next(known)
print(*[process.pid for process in multiprocessing.active_children()], flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_readers_end_when_their_main_process_is_killed():
    with subprocess.Popen([sys.executable, "-c", _READS], stdout=subprocess.PIPE, text=True) as main:
        readers = [int(word) for word in main.stdout.readline().split()]
        assert len(readers) == 2 and all(map(_runs, readers))
        main.kill()
    end = time.monotonic() + 60
    while any(map(_runs, readers)):
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(number: int) -> bool:
    """Whether a process is there, and is not only waiting for its parent to ask how it ended."""
    try:
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
