"""The job center: lanes, stopping, what is told to whom, errors, pictures, leaving, and what survives a restart."""

from __future__ import annotations

import json
import threading
from time import monotonic, sleep

import pytest
from textual import on
from textual.app import App
from textual.widgets import Input

from modelhub.errors import ModelhubError
from modelhub.jobs import Event
from modelhub.tui.app import ModelhubApp
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.finder import Finder
from modelhub.tui.jobs.center import JobCenter, JobEnded, JobMoved
from modelhub.tui.jobs.history import JOBS, plain, recalled
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.work import Failed


class Bare(App[None]):
    """Nothing but a job center."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = JobCenter(self)
        self.failures: list[ModelhubError] = []

    @on(JobMoved)
    def _moved(self, message: JobMoved) -> None:
        self.jobs.moved(message)

    @on(JobEnded)
    def _ended(self, message: JobEnded) -> None:
        self.jobs.ended(message)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.failures.append(message.error)


class Gate:
    """Work that waits until it is let through, and says when it began."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name, self.open = log, name, threading.Event()

    def __call__(self, job):
        self.log.append(self.name)
        while not self.open.wait(0.005):
            job.check()
        return self.name


def gates(*names):
    log: list[str] = []
    return log, [Gate(log, name) for name in names]


async def test_jobs_of_a_lane_run_one_after_the_other_in_order(until):
    log, (a, b, c, other, loose) = gates("a", "b", "c", "other", "loose")
    async with (it := Bare()).run_test() as pilot:
        records = [it.jobs.start(gate.name, gate, lane="writing") for gate in (a, b, c)]
        it.jobs.start("other", other, lane="rendering")
        it.jobs.start("loose", loose)
        await until(pilot, lambda: sorted(log) == ["a", "loose", "other"])
        assert [record.state for record in records] == [State.RUNNING, State.WAITING, State.WAITING]
        a.open.set()
        await until(pilot, lambda: log[3:] == ["b"])
        assert records[0].state is State.DONE and records[2].state is State.WAITING
        for gate in (b, c, other, loose):
            gate.open.set()
        await until(pilot, lambda: not it.jobs.open)
        assert log[3:] == ["b", "c"]


async def test_a_waiting_job_that_is_stopped_never_begins(until):
    log, (a, b, c) = gates("a", "b", "c")
    over = []
    async with (it := Bare()).run_test() as pilot:
        it.jobs.start("a", a, lane="writing")
        waiting = it.jobs.start("b", b, lane="writing", over=over.append)
        it.jobs.start("c", c, lane="writing")
        it.jobs.cancel(waiting)
        assert waiting.state is State.STOPPED and over == [waiting]
        waiting.cancel()
        it.jobs.cancel(waiting)
        assert over == [waiting]
        a.open.set(), c.open.set()
        await until(pilot, lambda: not it.jobs.open)
        assert log == ["a", "c"]


async def test_a_running_job_that_is_stopped_makes_room(until):
    log, (a, b) = gates("a", "b")
    told = []
    async with (it := Bare()).run_test() as pilot:
        running = it.jobs.start("a", a, lane="writing", then=told.append, over=lambda record: told.append(record.state))
        it.jobs.start("b", b, lane="writing")
        await until(pilot, lambda: log == ["a"])
        it.jobs.cancel(running)
        await until(pilot, lambda: log == ["a", "b"])
        assert told == [State.STOPPED] and running.error is None and running.log[-1].text == "Stopped."
        it.jobs.cancel_all()
        await until(pilot, lambda: not it.jobs.open)


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ModelhubError("The disk is full.", "Make room."), "The disk is full. Make room."),
        (ZeroDivisionError("by nothing"), "Something unexpected went wrong: ZeroDivisionError: by nothing"),
    ],
)
async def test_a_job_that_fails_says_why_and_the_next_one_runs(until, raised, says):
    def broken(job):
        raise raised

    log, (after,) = gates("after")
    after.open.set()
    told = []
    async with (it := Bare()).run_test() as pilot:
        record = it.jobs.start("broken", broken, lane="writing", then=told.append, over=told.append)
        it.jobs.start("after", after, lane="writing")
        await until(pilot, lambda: not it.jobs.open)
        assert record.state is State.FAILED and log == ["after"] and told == [record]
        assert record.log[-1].level == "error" and record.log[-1].text.startswith(says)


def event(done=0, phase="writing", level="progress", picture=None):
    return Event("job", phase, done, level=level, picture=picture)


def test_what_may_give_way_to_what():
    one, two = JobRecord(1, "one"), JobRecord(2, "two")

    def gives_way(before, after, other=one):
        return JobMoved(one, before).can_replace(JobMoved(other, after))

    assert gives_way(event(1), event(2))
    assert not gives_way(event(1), event(2), two)
    assert not gives_way(event(1), event(2, phase="checking"))
    assert not gives_way(event(level="warning"), event(2)) and not gives_way(event(1), event(level="info"))
    assert not gives_way(event(1, picture="p"), event(2)) and gives_way(event(1, picture="p"), event(2, picture="q"))
    assert not JobMoved(one, event()).can_replace(JobEnded(one))


async def test_of_much_progress_the_last_is_seen_and_no_sentence_is_lost(until):
    heard = []

    def busy(job):
        with job.phase("counting", 5000) as advance:
            for number in range(5000):
                advance()
                if number % 50 == 0:
                    job.say(f"at {number}", "warning" if number % 100 else "info")
        return "counted"

    async with (it := Bare()).run_test() as pilot:
        record = it.jobs.start("busy", busy, listen=heard.append, says=lambda result: f"{result}!")
        await until(pilot, lambda: not record.is_open)
        said = [line.text for line in record.log if line.level in ("info", "warning")]
        assert said == [*(f"at {number}" for number in range(0, 5000, 50)), "counted!"]
        assert record.event is not None and record.event.done == 5000
        assert [line.text for line in record.log if line.level == "phase"] == ["counting"]
        assert [one.item for one in heard if one.level != "progress"] == said[:-1]


async def test_a_picture_gives_way_to_nothing_but_a_newer_picture(until):
    heard = []

    def painter(job):
        with job.phase("steps", 40) as advance:
            for number in range(40):
                advance(picture=f"picture {number}" if number % 10 == 9 else None)
                advance(0)

    async with (it := Bare()).run_test() as pilot:
        record = it.jobs.start("paint", painter, listen=heard.append)
        await until(pilot, lambda: not record.is_open)
        pictures = [one.picture for one in heard if one.picture is not None]
        assert pictures[-1] == "picture 39" and pictures == sorted(pictures, key=lambda name: int(name.split()[1]))
        assert record.event is not None and record.event.picture is None


@pytest.mark.parametrize("ear", ["says", "then", "listen", "over"])
async def test_a_bug_of_who_is_told_stops_nothing(until, ear):
    def bug(_):
        raise KeyError("gone")

    log, (after,) = gates("after")
    after.open.set()
    over = []
    async with (it := Bare()).run_test() as pilot:
        ears = {"over": over.append, ear: bug}
        record = it.jobs.start("job", lambda job: job.say("hello"), lane="writing", **ears)
        it.jobs.start("after", after, lane="writing")
        await until(pilot, lambda: not it.jobs.open and it.failures)
        assert record.state is State.DONE and log == ["after"]
        assert "KeyError" in it.failures[0].message and any("KeyError" in line.text for line in record.log)
        assert over == [record] * (ear != "over")


async def test_the_same_is_started_again_where_that_is_allowed(until):
    ran = []
    async with (it := Bare()).run_test() as pilot:
        record = it.jobs.start("twice", lambda job: ran.append(1), place="convert", lane="writing", again=True)
        once = it.jobs.start("once", lambda job: None)
        await until(pilot, lambda: not it.jobs.open)
        assert once.again is None and record.again is not None
        second = record.again()
        await until(pilot, lambda: not it.jobs.open)
        assert len(ran) == 2 and second.number > record.number
        assert (second.title, second.place, second.lane) == ("twice", "convert", "writing")
        assert second.again is not None


async def test_finished_jobs_are_cleared_and_who_listens_hears_of_it(until):
    _, (stays,) = gates("stays")
    heard = []
    async with (it := Bare()).run_test() as pilot:
        it.jobs.changed.subscribe(it.screen, heard.append)
        over = it.jobs.start("over", lambda job: None)
        await until(pilot, lambda: not over.is_open)
        running = it.jobs.start("stays", stays)
        await until(pilot, lambda: running in heard)
        heard.clear()
        it.jobs.clear()
        assert it.jobs.records == [running]
        await until(pilot, lambda: heard == [over])
        stays.open.set()
        await until(pilot, lambda: not it.jobs.open)


async def test_many_long_jobs_leave_the_search_its_threads(few, app, until):
    _, many = gates(*map(str, range(60)))
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        for gate in many:
            it.jobs.start(gate.name, gate)
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 12)
        it.screen.query_one(Finder).bar.put("00007")
        await until(pilot, lambda: assets.count == 1)
        for gate in many:
            gate.open.set()
        await until(pilot, lambda: not it.jobs.open)


async def test_leaving_waits_for_no_deaf_job_and_lets_others_clear_up(few, app, until):
    began, cleared = [], []

    def deaf(job):
        began.append("deaf")
        sleep(60)

    def tidy(job):
        began.append("tidy")
        try:
            while True:
                job.check()
                sleep(0.01)
        finally:
            sleep(0.2)
            cleared.append(True)

    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        it.jobs.start("deaf", deaf)
        it.jobs.start("tidy", tidy)
        await until(pilot, lambda: sorted(began) == ["deaf", "tidy"])
        start = monotonic()
        it.leave()
    assert monotonic() - start < 30 and cleared
    kept = json.loads((few.folder / "state.json").read_text())["jobs"]["jobs"]
    assert [row["title"] for row in kept] == ["deaf", "tidy"]


async def test_a_job_that_ends_under_a_dialog_leaves_it_as_it_was(few, app, until):
    _, (gate,) = gates("gate")

    def fails(job):
        gate(job)
        raise ModelhubError("It did not work.")

    answers = []
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        it.jobs.start("fails", fails, place="browse")
        it.push_screen(AskDialog("A title", "Say something."), answers.append)
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await pilot.press(*"half")
        gate.open.set()
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        assert it.screen.query_one(Input).value == "half"
        await pilot.press("enter")
        await until(pilot, lambda: answers == ["half"])


async def test_jobs_survive_a_restart(few, until):
    def work(job):
        job.say("first [b]line[/]")
        raise ModelhubError("It broke.", "Try again.")

    _, (gate,) = gates("gate")
    it = ModelhubApp(few)
    async with it.run_test(size=(120, 40)) as pilot:
        failed = it.jobs.start("broken", work, place="convert")
        it.jobs.start("running", gate)
        await until(pilot, lambda: not failed.is_open and isinstance(it.jobs.records[1].began, float))
        it.leave()
    gate.open.set()
    old = ModelhubApp(few).jobs.records
    assert [(one.title, one.state) for one in old] == [("broken", State.FAILED), ("running", State.STOPPED)]
    assert old[0].error is not None and (old[0].error.message, old[0].error.hint) == ("It broke.", "Try again.")
    assert [line.text for line in old[0].log] == ["first [b]line[/]", "It broke. Try again."]
    assert old[1].log[-1].text == "modelhub was left while it ran." and old[0].number < old[1].number < 1
    assert ModelhubApp(few).jobs.open == []


def test_only_so_many_jobs_and_lines_are_kept():
    records = [JobRecord(number, "x" * 9) for number in range(300)]
    for record in records:
        for number in range(99):
            record.hear(Event("x", "", item="y" * 5000 + str(number), level="info"))
    kept = plain(records)
    assert len(kept) == JOBS and len(json.dumps(kept)) < 2_000_000
    assert [one.title for one in recalled(kept)] == ["x" * 9] * JOBS


@pytest.mark.parametrize(
    "kept",
    [
        None, 7, "jobs", {}, [None, 3, "x", []], [{}], [{"title": 3, "state": [], "log": 7, "error": "e"}],
        [{"title": "t", "state": "asleep", "log": [[1], [None, 2, 3], ["a", "b", "c"], [1e99, "", ""]]}],
        [{"began": True, "ended": "noon", "error": [1, 2], "log": [[1.5, None, {}]], "place": ["x"]}],
    ],
)  # fmt: skip
def test_what_was_kept_may_be_anything(kept):
    for record in recalled(kept):
        assert not record.is_open and record.title and isinstance(record.place, str) and record.seconds >= 0
