"""The places: how one gets from one to the other, what they remember, and how modelhub is left."""

from __future__ import annotations

import json
import threading

import pytest

from modelhub.errors import FileError
from modelhub.tui.actions import ACTIONS
from modelhub.tui.memory import Memory
from modelhub.tui.places import PLACES
from modelhub.tui.screens.dialogs import ConfirmDialog, ErrorDialog
from modelhub.tui.widgets.nav_bar import NavBar

SIZES = ((80, 24), (120, 40), (200, 60))


async def started(pilot, until):
    await until(pilot, lambda: pilot.app.here == "browse" and pilot.app.screen.query("#assets"))
    await until(pilot, lambda: pilot.app.screen.assets.count)


@pytest.mark.parametrize("size", SIZES)
async def test_every_place_has_a_key_a_tab_and_a_way_back(few, app, until, text, size):
    keys = {action.name.removeprefix("go_"): action.keys for action in ACTIONS if action.name.startswith("go_")}
    async with (it := app(few)).run_test(size=size) as pilot:
        await started(pilot, until)
        for place in PLACES[1:]:
            await pilot.press(keys[place.id])
            await until(pilot, lambda place=place: it.here == place.id and it.screen.query(NavBar))
            bar = text(it).splitlines()[0]
            assert all(f" {other.title} " in bar for other in PLACES), bar
            it.action_go("browse")
            await until(pilot, lambda: it.here == "browse")
            first, last = it.screen.query_one(NavBar).spans()[place.id]
            await pilot.click(NavBar, offset=((first + last) // 2, 0))
            await until(pilot, lambda place=place: it.here == place.id)
            for _ in range(4):
                if it.here != "browse":
                    await pilot.press("escape")
                    await pilot.pause()
            await until(pilot, lambda: it.here == "browse")


async def test_brackets_go_round(few, app, until):
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: it.here == PLACES[-1].id)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: it.here == "browse")


async def test_every_footer_has_at_most_eight_keys():
    for place in PLACES:
        shown = [action for action in ACTIONS if action.scope in (place.id, "app") and action.footer]
        assert len(shown) <= 8, [action.id for action in shown]


async def test_leaving_asks_while_a_job_runs_and_stops_it(few, app, until, text):
    stopped = threading.Event()

    def work(job):
        try:
            with job.phase("turning", 10, "steps") as advance:
                while True:
                    advance(0)
                    stopped.wait(0.01)
        finally:
            stopped.set()

    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        it.jobs.start("Wheel", work)
        await until(pilot, lambda: "turning" in text(it) and "1 job" in text(it))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, ConfirmDialog))
        assert it.is_running and not stopped.is_set()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
    assert stopped.wait(60)
    assert it.return_code == 0


async def test_an_error_is_a_dialog_where_it_was_asked_for_and_a_notice_elsewhere(few, app, until, text):
    def broken(job):
        raise FileError("The disk [red]is[/] full.", "Make room.")

    async with (it := app(few)).run_test(size=(120, 40), notifications=True) as pilot:
        await started(pilot, until)
        it.jobs.start("Copy", broken, place="browse")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "The disk [red]is[/] full." in text(it) and "Make room." in text(it)
        await pilot.press("escape")
        it.jobs.start("Copy", broken, place="lab")
        await until(pilot, lambda: "Copy failed" in text(it))
        assert not isinstance(it.screen, ErrorDialog)


async def test_the_library_is_as_it_was_left(few, app, until, text):
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        await pilot.press("slash", *"kind", "colon", *"lora", "enter")
        await until(pilot, lambda: "2 of 12" in text(it) or "3 of 12" in text(it))
        await pilot.press("q")
    async with (again := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        await until(pilot, lambda: again.screen.finder.bar.text == "kind:lora")
        assert again.screen.assets.count in (2, 3)


async def test_places_that_come_and_go_may_be_asked_what_to_remember_in_any_moment(few, app, until, monkeypatch):
    monkeypatch.setattr("modelhub.tui.app._REMEMBER", 0.001)
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        for place in PLACES[1:]:
            it.go(place.id)
            await until(pilot, lambda place=place: it.here == place.id)
    assert Memory(few.folder).get("convert")["task"] == "convert"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"browse": 3}', '{"browse": {"query": [1], "order": "x", "columns": 7}}']
)
async def test_a_memory_that_makes_no_sense_is_none(few, app, until, text):
    (few.folder / "state.json").write_text(text)
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        assert it.screen.assets.count == 12


def test_memory_keeps_plain_values_and_is_written_when_they_change(tmp_path):
    memory = Memory(tmp_path)
    memory.save()
    assert not memory.path.exists()
    memory.put("lab", {"prompt": "a \x1b[31mred circle"})
    memory.save()
    before = memory.path.stat().st_mtime_ns
    memory.save()
    assert memory.path.stat().st_mtime_ns == before
    assert (
        Memory(tmp_path).get("lab") == json.loads(memory.path.read_text())["lab"] == {"prompt": "a \x1b[31mred circle"}
    )
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_memory_that_cannot_be_written_says_so(tmp_path):
    memory = Memory(tmp_path / "gone")
    memory.put("lab", {"seed": 1})
    with pytest.raises(FileError):
        memory.save()
