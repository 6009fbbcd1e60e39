"""Jobs: what is reported, how often, and how they stop."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from modelhub.errors import CancelledError
from modelhub.jobs import QUIET, Event, Job


def _recorded(**options: float) -> tuple[Job, list[Event]]:
    events: list[Event] = []
    return Job("test", events.append, **options), events


def test_a_phase_reports_its_begin_and_its_end():
    job, events = _recorded(interval=1000.0)
    with job.phase("hashing", 100, "bytes") as advance:
        for _ in range(100):
            advance(1, "model.safetensors")
    assert events[0] == Event("test", "hashing", 0, 100, "bytes")
    assert events[-1] == Event("test", "hashing", 100, 100, "bytes", "model.safetensors")


def test_events_are_limited_by_time():
    job, events = _recorded(interval=0.02)
    begun = time.monotonic()
    with job.phase("counting") as advance:
        while len(events) < 8 and time.monotonic() - begun < 30:
            advance()
    assert 8 <= len(events) <= (time.monotonic() - begun) / 0.02 + 4
    done = [event.done for event in events]
    assert done == sorted(done)


def test_without_an_interval_every_advance_is_seen():
    job, events = _recorded(interval=0.0)
    with job.phase("counting", 3) as advance:
        advance(2, "a")
        advance()
    assert [(event.done, event.item) for event in events] == [(0, ""), (2, "a"), (3, "a"), (3, "a")]


def test_pictures_always_pass():
    job, events = _recorded(interval=1000.0)
    with job.phase("rendering", 5) as advance:
        for step in range(5):
            advance(picture=f"picture {step}")
    assert [event.picture for event in events if event.picture] == [f"picture {step}" for step in range(5)]


def test_cancel_from_another_thread_stops_at_the_next_advance():
    job, _ = _recorded()
    started, turns = threading.Event(), []

    def cancel() -> None:
        started.wait(60)
        job.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError), job.phase("working") as advance:
        while len(turns) < 10_000_000:
            turns.append(1)
            advance()
            started.set()
            time.sleep(0.0005)
    thread.join()
    assert job.cancelled
    assert len(turns) < 10_000


def test_after_cancel_nothing_begins_and_nothing_counts():
    job, events = _recorded(interval=0.0)
    with pytest.raises(CancelledError), job.phase("first", 2) as advance:
        advance()
        job.cancel()
        advance()
    with pytest.raises(CancelledError), job.phase("second"):
        raise AssertionError("a cancelled job began a phase")
    with pytest.raises(CancelledError):
        job.check()
    assert events[-1].done == 1
    assert {event.phase for event in events} == {"first"}


def test_phases_nest_and_sentences_know_where_they_are():
    job, events = _recorded(interval=0.0)
    job.say("before")
    with job.phase("outer", 1) as outer:
        with job.phase("inner", 1) as inner:
            job.say("odd tensor", level="warning")
            inner()
        job.say("between")
        outer()
    job.say("after")
    said = [(event.phase, event.item, event.level) for event in events if event.level != "progress"]
    assert said == [
        ("", "before", "info"), ("inner", "odd tensor", "warning"), ("outer", "between", "info"), ("", "after", "info")
    ]  # fmt: skip
    assert [event.done for event in events if event.phase == "outer" and event.level == "progress"] == [0, 1, 1]


def test_a_failing_phase_gives_its_name_back():
    job, events = _recorded()
    with pytest.raises(ZeroDivisionError), job.phase("failing"):
        _ = 1 // 0
    job.say("still here")
    assert events[-1].phase == ""


def test_counting_from_several_threads_loses_nothing():
    job, events = _recorded(interval=1000.0)
    with job.phase("counting", 8000) as advance:
        threads = [threading.Thread(target=lambda: [advance() for _ in range(1000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert events[-1].done == 8000


def test_quiet_works_and_cannot_be_cancelled():
    with QUIET.phase("anything", 3) as advance:
        advance(3, "item", picture=object())
    QUIET.say("heard by nobody")
    with pytest.raises(RuntimeError, match="shared"):
        QUIET.cancel()
    assert not QUIET.cancelled


def test_a_job_without_a_sink_can_be_cancelled():
    job = Job("silent")
    job.cancel()
    with pytest.raises(CancelledError):
        job.check()


def test_events_with_pictures_compare_by_all_but_the_picture():
    one, two = (Event("job", "sampling", 1, picture=np.full((2, 2, 3), value, np.uint8)) for value in (0, 9))
    assert one == two == Event("job", "sampling", 1)
    assert one != Event("job", "sampling", 2)


def test_a_part_tells_its_phases_as_one_of_many_and_stops_with_the_whole():
    events = []
    job = Job("grid", events.append, interval=0)
    part = job.part("2/5")
    with part.phase("sampling", 3, "steps") as advance:
        advance()
    assert [(event.job, event.phase, event.done) for event in events][1:] == [
        ("grid", "2/5 sampling", 1),
        ("grid", "2/5 sampling", 1),
    ]
    part.say("look", "warning")
    assert (events[-1].level, events[-1].item) == ("warning", "look")
    job.cancel()
    assert part.cancelled
    with pytest.raises(CancelledError):
        part.check()
    assert QUIET.part("1/2") is QUIET
