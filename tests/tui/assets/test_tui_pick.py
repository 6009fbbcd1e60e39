"""Choosing a model in a dialog: what was typed is what enter takes; and how little of a list is drawn again."""

from __future__ import annotations

from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.filter_bar import FilterBar
from modelhub.tui.assets.finder import Finder
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.widgets.line_list import LineList

SIZE = (120, 40)


async def started(pilot, until):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == 12)
    return assets


async def picking(pilot, until, library):
    chosen = []
    dialog = PickDialog(library, "Model", "kind:lora", "There is none.")
    pilot.app.call_later(pilot.app.push_screen, dialog, chosen.append)
    await until(pilot, lambda: isinstance(pilot.app.screen, PickDialog) and parts(pilot.app)[0].count == 3)
    return chosen


def parts(app):
    return app.screen.query_one(AssetList), app.screen.query_one(FilterBar)


async def test_enter_chooses_what_was_typed_and_not_what_the_list_still_shows(few, app, until, at_once):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        chosen = await picking(pilot, until, few)
        at_once(it, *"00012", "enter")
        await until(pilot, lambda: chosen)
        assert chosen[0].path.stem == "model-00012"


async def test_the_end_of_a_pause_that_comes_after_enter_does_not_undo_it(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        chosen = await picking(pilot, until, few)
        bar = parts(it)[1]
        bar.put("00012")
        finder = it.screen.query_one(Finder)
        finder.post_message(FilterBar.Left(entered=True))
        finder.post_message(FilterBar.Changed("00012"))
        await until(pilot, lambda: chosen)
        assert chosen[0].path.stem == "model-00012"


async def test_where_enter_finds_nothing_more_can_be_typed(few, app, until, at_once, monkeypatch):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        chosen = await picking(pilot, until, few)
        assets, bar = parts(it)
        rung = []
        monkeypatch.setattr(it, "bell", lambda: rung.append(True))
        at_once(it, *"000129", "enter")
        await until(pilot, lambda: rung and not assets.count and it.focused is bar.input)
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: chosen)
        assert chosen[0].path.stem == "model-00012"


async def test_a_query_that_cannot_be_read_chooses_nothing(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        chosen = await picking(pilot, until, few)
        assets, bar = parts(it)
        await pilot.press("left_parenthesis", "enter")
        await until(pilot, lambda: bar.problem and it.focused is bar.input)
        assert not chosen and assets.count == 3
        await pilot.press("backspace", "down", "down", "enter")
        await until(pilot, lambda: chosen)
        assert chosen[0].id == assets.ids[1]


async def test_a_step_draws_two_lines(few, app, until, monkeypatch):
    async with app(few).run_test(size=SIZE) as pilot:
        assets = await started(pilot, until)
        await pilot.press("down")
        drawn = []
        monkeypatch.setattr(AssetList, "render_line", lambda self, y: drawn.append(y) or LineList.render_line(self, y))
        await pilot.press("down")
        await until(pilot, lambda: drawn)
        assert set(drawn) == {assets.header + 1, assets.header + 2}
