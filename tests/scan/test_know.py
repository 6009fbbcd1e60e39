"""The processes that read headers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from leftovers import gone

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
        assert len(readers) == 2 and not any(gone(number, 0.01) for number in readers)
        main.kill()
    assert all(map(gone, readers))
