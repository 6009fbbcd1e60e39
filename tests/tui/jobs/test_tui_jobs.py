"""The jobs place: what runs, waits and ran, its log, stopping, again, copying, the queue of downloads."""

from __future__ import annotations

import threading
from time import time

import pytest

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError
from modelhub.jobs import Event
from modelhub.tui.app import ModelhubApp
from modelhub.tui.jobs.job_line import JobLine
from modelhub.tui.jobs.job_list import JobList
from modelhub.tui.jobs.job_log import JobLog, _pieces
from modelhub.tui.jobs.record import JobRecord, Line, State
from modelhub.tui.jobs.rows import error_text, log_text, of_record, rows
from modelhub.tui.jobs.screen import JobsScreen
from modelhub.tui.screens.dialogs import ConfirmDialog, ErrorDialog

SIZE = (140, 40)
HOSTILE = "a\x1b[31m[red]b[/]\x07\u202e\nc"


async def opened(pilot, until):
    pilot.app.go("jobs")
    await until(pilot, lambda: isinstance(pilot.app.screen, JobsScreen))
    return pilot.app.screen


def slow(open_, *, total=4_000_000_000):
    def work(job):
        with job.phase("writing", total, "bytes") as advance:
            job.say("It has begun.")
            advance(total // 4, "model.diffusion_model.out.2.weight")
            while not open_.wait(0.01):
                job.check()
        return "x"

    return work


async def test_without_jobs_it_says_what_comes_here(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await opened(pilot, until)
        await until(pilot, lambda: "Nothing runs, and nothing ran." in text(it))
        for key in ("x", "X", "z", "r", "y", "Y", "enter", "o", "o"):
            await pilot.press(key)
        assert isinstance(it.screen, JobsScreen)
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "browse")


async def test_what_runs_waits_and_ran_is_seen_the_newest_first(few, app, until, text):
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        first = it.jobs.start("First", lambda job: None, place="lab", says="All is well.")
        await until(pilot, lambda: not first.is_open)
        second = it.jobs.start("Second", lambda job: job.say("Careful.", "warning"))
        await until(pilot, lambda: not second.is_open)
        it.jobs.start("Convert 3 files", slow(open_), place="convert", lane="writing")
        it.jobs.start("Waits", lambda job: None, place="lab", lane="writing")
        screen = await opened(pilot, until)
        told = ("1 GB/4 GB", "━", "25%", "It has begun.", "writing")
        await until(pilot, lambda: all(word in text(it) for word in told))
        assert [row.title for row in screen.list.rows] == ["Convert 3 files", "Waits", "Second", "First"]
        seen = text(it)
        assert "▶ Convert 3 files" in seen and "○ Waits" in seen and "✓ First" in seen and "Merge" in seen
        await pilot.press("down", "down", "down")
        await until(pilot, lambda: "All is well." in text(it).split("began")[-1])
        open_.set()
        await until(pilot, lambda: not it.jobs.open)
        await until(pilot, lambda: [row.state for row in screen.list.rows] == ["done"] * 4)
        assert screen.list.current.title == "First"


async def test_a_failed_job_shows_its_sentence_and_the_next_step(few, app, until, text):
    def fails(job):
        raise FileError("/models/[b]x[/b]\x1b[31m is full.", "Make room on the disk.")

    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        it.jobs.start(HOSTILE, fails, place="lab")
        screen = await opened(pilot, until)
        await until(pilot, lambda: screen.list.rows and screen.list.rows[0].state == "failed")
        await until(pilot, lambda: "Make room on the disk." in text(it))
        seen = text(it)
        assert "[b]x[/b]\\x1b[31m is full." in seen and "a\\x1b[31m[red]b[/]\\x07\\u202e" in seen
        assert not {char for char in seen if not char.isprintable()} - {"\n"}
        await pilot.press("Y")
        assert it.clipboard == "/models/[b]x[/b]\\x1b[31m is full.\nMake room on the disk."
        await pilot.press("y")
        assert "Make room on the disk." in it.clipboard and it.clipboard.count("\n") >= 1
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "lab")


async def test_stopping_asks_only_after_half_a_minute(few, app, until):
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        quick = it.jobs.start("Quick", slow(open_))
        await until(pilot, lambda: screen.list.rows and screen.list.rows[0].is_open)
        await pilot.press("x")
        await until(pilot, lambda: quick.state is State.STOPPED)
        long = it.jobs.start("Long", slow(open_))
        long.began = time() - 60
        await until(pilot, lambda: screen.list.rows[0].record is long and screen.list.rows[0].seconds > 30)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        assert long.is_open
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: long.state is State.STOPPED)


@pytest.mark.parametrize(("place", "lane"), [("browse", "scan"), ("lab", "writing"), ("lora", "writing")])
async def test_escape_in_a_place_asks_as_well(few, app, until, place, lane):
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        it.go(place)
        await until(pilot, lambda: it.here == place and it.screen.is_mounted)
        there = it.screen
        long = it.jobs.start("Long", slow(open_), place=place, lane=lane)
        await until(pilot, lambda: long.began)
        long.began = time() - 60
        for answer, state in (("escape", State.RUNNING), ("enter", State.STOPPED)):
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
            await pilot.press(answer)
            await until(pilot, lambda: it.screen is there and long.state is state)  # noqa: B023 (called at once)
        assert it.here == place


async def test_all_are_stopped_and_what_is_over_is_forgotten(few, app, until, text):
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        for lane in ("writing", "writing", "rendering"):
            it.jobs.start("Job", slow(open_), lane=lane)
        await until(pilot, lambda: screen.list.count == 3)
        await pilot.press("z")
        assert len(it.jobs.records) == 3
        await pilot.press("X")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        assert "3 jobs would be stopped" in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: not it.jobs.open)
        await pilot.press("z")
        await until(pilot, lambda: "Nothing runs, and nothing ran." in text(it))
        assert it.jobs.records == []


async def test_a_job_is_run_again_where_its_place_allowed_it(few, app, until):
    ran = []
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        it.jobs.start("Again", lambda job: ran.append(1), again=True)
        await until(pilot, lambda: ran == [1] and screen.list.rows and not screen.list.rows[0].is_open)
        await pilot.press("r")
        await until(pilot, lambda: ran == [1, 1] and screen.list.count == 2)
        it.jobs.start("Once", lambda job: None)
        await until(pilot, lambda: screen.list.count == 3 and not it.jobs.open)
        await pilot.press("g", "r")
        await pilot.pause()
        assert len(it.jobs.records) == 3


async def test_the_log_follows_until_one_scrolls_back(few, app, until, text):
    turn, said = threading.Semaphore(0), []

    def talks(job):
        for number in range(90):
            turn.acquire()
            job.say(f"line {number}")
            said.append(number)

    async with (it := app(few)).run_test(size=(140, 24)) as pilot:
        screen = await opened(pilot, until)
        it.jobs.start("Talks", talks)
        turn.release(60)
        await until(pilot, lambda: "line 59" in text(it))
        assert "line 1 " not in text(it)
        await pilot.press("o", "g")
        await until(pilot, lambda: screen.query_one(JobLog).cursor == 0)
        turn.release(20)
        await until(pilot, lambda: len(said) == 80 and screen.query_one(JobLog).count >= 80)
        assert screen.query_one(JobLog).cursor == 0
        await pilot.press("G")
        turn.release(10)
        await until(pilot, lambda: "line 89" in text(it))
        await pilot.press("escape")
        assert isinstance(it.focused, JobList)


async def test_downloads_of_other_processes_are_seen(few, app, until, text):
    with Catalog.open(few.folder) as catalog:
        plan = {"goal": "/models/big.safetensors"}
        number = downloads.add(catalog, plan, "Big [b]model[/b]", 4_000_000_000, None)
        downloads.begin(catalog, number)
        downloads.progress(catalog, {number: 1_000_000_000})
        failed = downloads.add(catalog, {"goal": "/models/bad.safetensors"}, "Bad", 10, None)
        downloads.fail(catalog, failed, ModelhubError("It asks for a key.", "modelhub login civitai"))
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await until(pilot, lambda: "Big [b]model[/b]" in text(it) and "1 GB/4 GB" in text(it))
        assert "queue" in text(it)
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("down")
        await until(pilot, lambda: "modelhub login civitai" in text(it))
        it.jobs.start("Download", slow(open_), place="download", lane="download")
        screen._ask()
        await until(pilot, lambda: [row.title for row in screen.list.rows] == ["Download"])
        open_.set()
        await until(pilot, lambda: not it.jobs.open)


async def test_jobs_of_before_the_restart_are_there(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        record = it.jobs.start("Yesterday", lambda job: job.say("kept line"), place="lab", says="Written.")
        await until(pilot, lambda: not record.is_open)
        it.leave()
    async with (it := ModelhubApp(few)).run_test(size=SIZE) as pilot:
        await opened(pilot, until)
        await until(pilot, lambda: "Yesterday" in text(it) and "kept line" in text(it) and "Written." in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "lab")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
async def test_it_fits_every_terminal(few, app, until, text, size):
    open_ = threading.Event()
    async with (it := app(few)).run_test(size=size) as pilot:
        it.jobs.start("Convert a model with a rather long name.ckpt", slow(open_), place="convert")
        await opened(pilot, until)
        await until(pilot, lambda: "▶ Convert" in text(it) and "writing" in text(it))
        assert not isinstance(it.screen, ErrorDialog)
        open_.set()
        await until(pilot, lambda: not it.jobs.open)


def test_a_row_in_words():
    record = JobRecord(3, "Convert", "convert", state=State.RUNNING, began=time() - 12)
    record.event, record.rate = Event("x", "writing", 500, 1000, "bytes", "tensor"), 100.0
    row = of_record(record)
    assert (row.amount, row.speed, row.left, row.share) == ("500 B/1 kB", "100 B/s", "5.0 s", 0.5)
    assert row.progress == "500 B/1 kB  100 B/s  5.0 s left" and row.says == "tensor"
    record.event, record.rate = Event("x", "steps", 3, 20, "steps"), 0.5
    assert of_record(record).progress == "3/20 steps  0.5 steps/s  34 s left"
    record.event = Event("x", "looking")
    assert of_record(record).progress == "0.5 steps/s" and of_record(record).share is None
    record.state, record.error, record.ended = State.FAILED, ModelhubError("No.", "Try."), time()
    record.log.append(Line(time(), "error", "No. Try."))
    row = of_record(record)
    assert row.says == "No." and error_text(row) == "No.\nTry." and row.progress == ""
    assert log_text(row).splitlines()[0] == "Convert: failed" and log_text(row).endswith("error   No. Try.")
    assert error_text(of_record(JobRecord(1, "x"))) == ""


def test_the_order_of_rows():
    states = (State.DONE, State.RUNNING, State.FAILED, State.WAITING, State.RUNNING)
    records = [JobRecord(number, f"{number}", state=state) for number, state in enumerate(states)]
    assert [row.title for row in rows(records, [])] == ["4", "1", "3", "2", "0"]


@pytest.mark.parametrize(("given", "pieces"), [("", [""]), ("aa bb", ["aa", "bb"]), ("日本語", ["日", "本", "語"])])
def test_long_lines_are_broken(given, pieces):
    assert _pieces(given, 3) == pieces


def shown(it):
    return it.screen.query_one(JobList)


def waits(gate):
    """Work that waits for an event."""
    return lambda job: gate.wait(60)


@pytest.mark.parametrize(("place", "there"), [("nowhere", "jobs"), ("running", "running")])
async def test_enter_leads_to_the_commands_and_never_to_where_nothing_is(few, app, until, place, there):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        it.jobs.start("a job", lambda job: None, place=place)
        await until(pilot, lambda: not it.jobs.open)
        await pilot.press("J")
        await until(pilot, lambda: it.here == "jobs" and shown(it).count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: it.here == there)


async def test_again_puts_the_cursor_on_the_new_job(few, app, until):
    gates = [threading.Event(), threading.Event()]
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        old = it.jobs.start("old", lambda job: None, lane="one", again=True)
        await until(pilot, lambda: not it.jobs.open)
        for gate, lane in zip(gates, ("one", "other"), strict=True):
            it.jobs.start(lane, waits(gate), lane=lane)
        await pilot.press("J")
        await until(pilot, lambda: it.here == "jobs" and shown(it).count == 3)
        await pilot.press("G", "r")
        await until(pilot, lambda: shown(it).count == 4)
        here = shown(it).current.record
        assert here is not old
        assert (here.title, here.is_open) == ("old", True)
        for gate in gates:
            gate.set()
        await until(pilot, lambda: not it.jobs.open)


async def test_the_line_tells_how_this_job_is_stopped_from_here(few, app, until):
    gates = [threading.Event(), threading.Event()]
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        it.jobs.start("first", waits(gates[0]), place="convert")
        it.jobs.start("second", waits(gates[1]), place="convert")
        line = it.screen.query_one(JobLine)
        await until(pilot, lambda: line.record.title == "second")
        assert "J shows it" in line.render().plain
        await pilot.press("C")
        await until(pilot, lambda: "esc stops" in it.screen.query_one(JobLine).render().plain)
        for gate in gates:
            gate.set()
        await until(pilot, lambda: not it.jobs.open)
