"""The line of keys at the foot: what it shows, that it follows the focus, and that it can be clicked."""

from __future__ import annotations

import pytest

from modelhub.tui.widgets.key_bar import KeyBar


async def started(pilot, until):
    await until(pilot, lambda: pilot.app.here == "browse" and pilot.app.screen.query("#assets"))
    await until(pilot, lambda: pilot.app.screen.assets.count)


def words(app) -> list[str]:
    return [f"{one.display} {one.does}" for one in app.screen.query_one(KeyBar).fitting()]


async def test_it_shows_the_keys_of_what_has_the_focus(few, app, until, text):
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        assert words(it)[:2] == ["/ Filter", "space Mark"]
        assert all(word in text(it).splitlines()[-1] for word in words(it))
        await pilot.press("slash")
        await until(pilot, lambda: "space Mark" not in words(it))


@pytest.mark.parametrize("width", [30, 60, 80, 120])
async def test_help_and_quit_stay_when_there_is_no_room(few, app, until, text, width):
    async with (it := app(few)).run_test(size=(width, 24)) as pilot:
        await started(pilot, until)
        assert words(it)[-2:] == ["? Help", "q Quit"]
        line = text(it).splitlines()[-1]
        assert line.rstrip().endswith("q Quit"), line
        assert (len(words(it)) == 8) is (width >= 80)


async def test_a_click_presses_the_key(few, app, until, text):
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await started(pilot, until)
        place = text(it).splitlines()[-1].index("space Mark")
        await pilot.click(KeyBar, offset=(place + 1, 0))
        await until(pilot, lambda: "1 marked" in text(it))
        await pilot.click(KeyBar, offset=(110, 0))
        assert it.is_running and it.here == "browse"
