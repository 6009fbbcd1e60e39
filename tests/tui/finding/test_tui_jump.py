"""Jump mode: letters on everything that takes the focus, numbers on the places; works from a field and at any size."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from modelhub.tui.finding.jump import goals, letters
from modelhub.tui.finding.jump_screen import JumpScreen
from modelhub.tui.places import PLACES

SIZES = [(120, 40), (80, 24), (200, 60)]


@pytest.mark.parametrize("count", [0, 1, 26, 27, 200])
def test_no_letters_are_the_beginning_of_others(count):
    found = letters(count)
    assert len(set(found)) == count
    assert not any(one != other and other.startswith(one) for one in found for other in found)


@pytest.mark.parametrize("size", SIZES)
async def test_every_widget_that_is_seen_and_every_place_has_one(few, app, until, text, size):
    async with (it := app(few)).run_test(size=size) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        below = it.screen
        found = goals(below)
        assert len(found) == len(PLACES) + len(below.focus_chain)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(it.screen, JumpScreen))
        for goal in found:
            line = text(it).splitlines()[goal.at.y]
            assert line[goal.at.x : goal.at.x + len(goal.keys) + 2] == f" {goal.keys.upper()} "
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is below)


@pytest.mark.parametrize("size", SIZES)
async def test_it_goes_from_a_field_to_the_list(few, app, until, size):
    async with (it := app(few)).run_test(size=size) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        place = it.screen
        await pilot.press("slash", *"model")
        await until(pilot, lambda: isinstance(it.focused, Input))
        keys = next(goal.keys for goal in goals(place) if goal.at == place.assets.region.offset)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(it.screen, JumpScreen))
        await pilot.press(*keys)
        await until(pilot, lambda: it.screen is place and it.focused is place.assets)
        assert place.finder.bar.text == "model"


async def test_a_number_goes_to_a_place_and_a_wrong_key_leaves(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        place = it.screen
        await pilot.press("ctrl+g", "0")
        await until(pilot, lambda: it.screen is place)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(it.screen, JumpScreen))
        await pilot.press("7")
        await until(pilot, lambda: it.here == "settings")


async def test_a_click_on_a_letter_goes_there(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(it.screen, JumpScreen) and it.screen.query(".jump"))
        await pilot.pause()
        at = next(goal.at for goal in it.screen._goals if goal.keys == "7")
        await pilot.click(offset=(at.x + 1, at.y))
        await until(pilot, lambda: it.here == "settings")


async def test_another_size_of_the_terminal_ends_it(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(it.screen, JumpScreen))
        await pilot.resize_terminal(90, 30)
        await until(pilot, lambda: not isinstance(it.screen, JumpScreen))
