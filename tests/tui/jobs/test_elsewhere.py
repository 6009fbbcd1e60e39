"""Work in a process of its own: its result, events and errors come back, and it ends with who asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import far_work
import pytest

from modelhub.errors import CancelledError, IncompatibleError, ModelhubError
from modelhub.jobs import Event, Job
from modelhub.tui.jobs import elsewhere

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def path(far, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[2])]))


def until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_result_events_and_what_is_told_come_back(capfd):
    events: list[Event] = []
    told: list[int] = []
    process = elsewhere.run(Job("here", events.append), far_work.counting, 3, 8, told=told.append)
    assert process != os.getpid()
    assert told == [3, 4, 5, 6, 7]
    assert (events[0].phase, events[0].done, events[0].total, events[0].unit) == ("counting", 0, 5, "numbers")
    assert [one.done for one in events if one.level == "progress"][-1] == 5
    assert (events[-1].level, events[-1].item) == ("warning", "Counted.")
    assert capfd.readouterr() == ("", ""), "nothing is printed over the interface"


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (far_work.refusing, IncompatibleError, "These do not fit."),
        (far_work.breaking, ModelhubError, "ZeroDivisionError: by nothing"),
        (far_work.secret, ModelhubError, "Something unexpected went wrong"),
    ],
)
def test_errors_come_back(work, error, message):
    with pytest.raises(error, match=message) as caught:
        elsewhere.run(Job("test"), work)
    assert caught.value.hint == ("Take others." if error is IncompatibleError else caught.value.hint) != ""


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_process_that_was_ended_is_said(number, name):
    with pytest.raises(ModelhubError, match=f"was ended by {name}: memory is short"):
        elsewhere.run(Job("test"), far_work.killed, number)


def test_a_process_that_cannot_begin_is_said(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[2]))
    with pytest.raises(ModelhubError, match="exit code 1: ModuleNotFoundError: No module named 'far_work'"):
        elsewhere.run(Job("test"), far_work.refusing)


def test_a_cancelled_job_ends_it_and_it_clears_up(tmp_path):
    marker, job = tmp_path / "marker", Job("test")
    threading.Thread(target=lambda: (until(marker.exists), job.cancel())).start()
    with pytest.raises(CancelledError):
        elsewhere.run(job, far_work.writing, marker)
    assert not marker.exists()
    with pytest.raises(CancelledError):
        elsewhere.run(job, far_work.writing, marker)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_clears_up_when_the_interface_is_gone(tmp_path, number):
    marker = tmp_path / "marker"
    words = (
        "from pathlib import Path; import far_work; from modelhub.jobs import Job; from modelhub.tui.jobs import elsewhere;"
        f"elsewhere.run(Job('test'), far_work.writing, Path({str(marker)!r}))"
    )
    interface = subprocess.Popen([sys.executable, "-c", words], start_new_session=True)
    until(marker.exists)
    os.killpg(interface.pid, number)
    assert interface.wait(60) == -number
    until(lambda: not marker.exists())
