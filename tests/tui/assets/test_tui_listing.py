"""The list of the library: completion in its bar, the tree beside it, marks and ranges, columns; and that all is kept."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from textual.widgets import Input

from modelhub.tui.app import ModelhubApp
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.column_dialog import ColumnDialog, ColumnRows
from modelhub.tui.assets.columns import USUAL
from modelhub.tui.assets.filter_bar import FilterBar
from modelhub.tui.assets.finder import Start
from modelhub.tui.browse.listing import start_of
from modelhub.tui.browse.sidebar import Sidebar
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog

SIZE = (120, 40)
_KEYS = {":": "colon", " ": "space", "(": "left_parenthesis", "-": "minus"}


def parts(app):
    screen = app.screen
    return screen.query_one(AssetList), screen.query_one(FilterBar), screen.query_one(Sidebar)


async def started(pilot, until, count=12):
    found = parts(pilot.app)
    await until(pilot, lambda: found[0].count == count and found[2].survey.total)
    return found


async def typed(pilot, query):
    await pilot.press(*(_KEYS.get(char, char) for char in query))


def labels(bar):
    return [choice.text for choice in bar.choices.choices] if bar.is_choosing else []


def entry(side, label):
    return next(row for row, one in enumerate(side.entries) if one.label == label)


# -- completion ----------------------------------------------------------------------------------------------------


async def test_a_field_and_its_value_are_completed(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, bar, _ = await started(pilot, until)
        await pilot.press("slash")
        assert not bar.is_choosing
        await typed(pilot, "ki")
        await until(pilot, lambda: labels(bar) == ["kind:"])
        await pilot.press("tab")
        await until(pilot, lambda: labels(bar) == ["checkpoint", "lora", "unknown", "vae"])
        assert "checkpoint" in text(it)
        await pilot.press("v", "enter")
        await until(pilot, lambda: assets.count == 2)
        assert bar.text == "kind:vae "
        assert not bar.is_choosing and it.focused is bar.input
        await pilot.press("enter")
        await until(pilot, lambda: it.focused is assets)


async def test_arrows_choose_and_escape_closes_first(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, bar, _ = await started(pilot, until)
        await pilot.press("slash")
        await typed(pilot, "kind:")
        await until(pilot, lambda: labels(bar))
        await pilot.press("down", "down", "up", "down", "enter")
        await until(pilot, lambda: bar.text == "kind:unknown ")
        await typed(pilot, "arch:")
        await until(pilot, lambda: bar.is_choosing)
        await pilot.press("escape")
        assert not bar.is_choosing and bar.text == "kind:unknown arch:"
        await pilot.press("escape")
        await until(pilot, lambda: it.focused is assets and bar.text == "")


async def test_tab_on_an_empty_bar_shows_the_fields_and_a_click_takes(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        _, bar, _ = await started(pilot, until)
        await pilot.press("slash", "tab")
        await until(pilot, lambda: len(labels(bar)) > 20)
        await until(pilot, lambda: bar.choices.size.height == 10)
        assert await pilot.click(bar.choices, offset=(3, 0))
        await until(pilot, lambda: bar.text == "kind:")
        await until(pilot, lambda: "lora" in labels(bar))


async def test_a_word_that_begins_like_a_field_can_be_searched_for(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, bar, _ = await started(pilot, until)
        await pilot.press("slash", *"mod")
        await until(pilot, lambda: labels(bar) == ["modified:"])
        await pilot.press("enter")
        await until(pilot, lambda: it.focused is assets)
        assert bar.text == "mod" and assets.count == 12


async def test_values_follow_the_catalog(few, app, until):
    from modelhub.catalog.store import Catalog

    async with (it := app(few)).run_test(size=SIZE) as pilot:
        _, bar, side = await started(pilot, until)
        await pilot.press("slash")
        await typed(pilot, "tag:")
        await until(pilot, lambda: labels(bar) == ["anime"])
        await pilot.press("escape", "escape")
        with Catalog.open(few.folder) as other:
            other.tag([1], ["brandnew"])
        it.screen.refresh_all()
        await until(pilot, lambda: "brandnew" in side.survey.tags)
        await pilot.press("slash")
        await typed(pilot, "tag:")
        await until(pilot, lambda: "brandnew" in labels(bar))


async def test_past_queries_come_back_by_up(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        assets, bar, _ = await started(pilot, until)
        await pilot.press("slash")
        await typed(pilot, "(bad")
        await until(pilot, lambda: bar.problem)
        await pilot.press("escape")
        await until(pilot, lambda: assets.count == 12 and not bar.problem)
        for query, count in (("kind:vae", 2), ("00007", 1)):
            await pilot.press("slash")
            await typed(pilot, query)
            await until(pilot, lambda count=count: assets.count == count)
            await pilot.press("escape", "enter") if bar.is_choosing else await pilot.press("enter")
            await until(pilot, lambda: assets.has_focus)
            await pilot.press("escape")
            await until(pilot, lambda: bar.text == "")
        await pilot.press("slash", "up")
        await until(pilot, lambda: labels(bar) == ["00007", "kind:vae"])
        await pilot.press("down", "enter")
        await until(pilot, lambda: bar.text == "kind:vae" and parts(pilot.app)[0].count == 2)


# -- the tree --------------------------------------------------------------------------------------------------------


async def test_folders_unfold_and_what_the_query_contains_is_marked(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, bar, side = await started(pilot, until)
        side.focus()
        side.cursor = entry(side, "models")
        await pilot.press("right")
        assert [one.label for one in side.entries if one.depth == 1] == ["checkpoints", "loras", "unknowns", "vaes"]
        side.cursor = entry(side, "loras")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "path:/models/loras/" and assets.count == 3)
        await until(pilot, lambda: any("●" in line and "loras" in line for line in text(it).splitlines()))
        await pilot.press("left")
        assert side.here.label == "models"
        await pilot.press("left")
        assert not [one for one in side.entries if one.depth]
        await pilot.press("left")
        assert side.here.label == "FOLDERS"
        await pilot.press("enter")
        assert "models" not in [one.label for one in side.entries]


async def test_choosing_again_takes_out_and_others_come_beside_or_are_left_out(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        assets, bar, side = await started(pilot, until)
        side.focus()
        side.cursor = entry(side, "vae")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "kind:vae")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "" and assets.count == 12)
        await pilot.press("minus")
        await until(pilot, lambda: bar.text == "-kind:vae" and assets.count == 10)
        side.cursor = entry(side, "anime")
        await pilot.press("space")
        await until(pilot, lambda: bar.text == "-kind:vae tag:anime")
        await pilot.press("space")
        await until(pilot, lambda: bar.text == "-kind:vae")


async def test_facets_are_there_where_they_tell_something(few, app, until):
    with closing(sqlite3.connect(few.folder / "catalog.db")) as db, db:
        db.execute("UPDATE assets SET rating = 4, missing = 1, format = 'pickle' WHERE id = 3")
    async with app(few).run_test(size=SIZE) as pilot:
        _, bar, side = await started(pilot, until)
        found = [one.label for one in side.entries]
        assert "file is gone" in found and "STARS" in found and "FORMATS" in found
        assert "PRECISION" not in found
        side.focus()
        side.cursor = entry(side, "STARS")
        await pilot.press("enter")
        side.cursor = entry(side, "★★★★")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "rating:4")


async def test_thousands_of_folders_are_drawn_as_far_as_they_are_seen(many, app, until):
    with closing(sqlite3.connect(many.folder / "catalog.db")) as db, db:
        db.execute("UPDATE assets SET path = '/models/' || (id % 5000) || '/' || name")
    async with app(many).run_test(size=SIZE) as pilot:
        _, _, side = await started(pilot, until, 50_000)
        side.focus()
        side.cursor = entry(side, "models")
        await pilot.press("right")
        assert sum(one.depth for one in side.entries) == 5000
        await pilot.press("down")
        assert side.here.label == "0" and side.here.count == 10


async def test_a_saved_search_stands_in_the_sidebar_until_it_is_forgotten(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        assets, bar, side = await started(pilot, until)
        await pilot.press("w")
        await until(pilot, lambda: "Filter first" in text(it))
        bar.put("kind:vae OR kind:lora")
        await until(pilot, lambda: assets.count == 5)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = "[b]mine[/]\x1b"
        await pilot.press("enter")
        await until(pilot, lambda: "[b]mine[/]\\x1b" in text(it))
        bar.put("")
        await until(pilot, lambda: assets.count == 12)
        side.focus()
        side.cursor = entry(side, "[b]mine[/]\\x1b")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "kind:vae OR kind:lora" and assets.count == 5)
        await pilot.press("x")
        await until(pilot, lambda: not side.saved)


# -- marks -----------------------------------------------------------------------------------------------------------


async def test_a_range_grows_and_shrinks_with_every_motion(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, _, _ = await started(pilot, until)
        await pilot.press("space", "down", "v", "j", "j")
        assert assets.targets == [1, 3, 4, 5]
        await until(pilot, lambda: "4 marked, 10.3 GB · visual" in text(it))
        await pilot.press("k")
        assert assets.targets == [1, 3, 4]
        await pilot.press("G")
        assert len(assets.marks) == 11
        await pilot.press("escape")
        assert assets.targets == [1]
        await pilot.press("v", "v", "g")
        assert assets.targets == [1, 12]


async def test_shift_marks_and_a_motion_without_it_ends_the_range(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        assets, _, _ = await started(pilot, until)
        await pilot.press("shift+down", "shift+down", "shift+down", "shift+up")
        assert assets.targets == [1, 2, 3] and assets.cursor == 2
        await pilot.press("down", "down", "shift+down")
        assert sorted(assets.targets) == [1, 2, 3, 5, 6]
        await pilot.press("asterisk")
        assert sorted(assets.targets) == [4, 7, 8, 9, 10, 11, 12]


async def test_marks_are_made_by_mouse(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        assets, _, _ = await started(pilot, until)
        await pilot.click(assets, offset=(10, 3), control=True)
        await pilot.click(assets, offset=(0, 5))
        assert assets.targets == [3, 5] and assets.cursor == 4
        await pilot.click(assets, offset=(10, 7), shift=True)
        assert assets.targets == [3, 5, 6, 7]
        await pilot.click(assets, offset=(0, 3))
        assert assets.targets == [5, 6, 7]


async def test_the_cursor_follows_its_asset_through_filter_and_order(few, app, until):
    async with app(few).run_test(size=SIZE) as pilot:
        assets, bar, _ = await started(pilot, until)
        assets.cursor = 6
        bar.put("kind:lora")
        await until(pilot, lambda: assets.count == 3)
        assert assets.current.id == 7
        await pilot.press("S")
        await until(pilot, lambda: assets.ids[0] == 12)
        assert assets.current.id == 7
        bar.put("")
        await until(pilot, lambda: assets.count == 12)
        assert assets.current.id == 7
        bar.put("kind:vae")
        await until(pilot, lambda: assets.count == 2)
        assert assets.cursor == 0
        bar.put("")
        await until(pilot, lambda: assets.count == 12)
        assert assets.current.id == 7, "nobody went elsewhere"
        bar.put("kind:vae")
        await until(pilot, lambda: assets.count == 2)
        await pilot.press("down")
        there = assets.current.id
        bar.put("")
        await until(pilot, lambda: assets.count == 12)
        assert assets.current.id == there


async def test_half_pages(many, app, until):
    async with app(many).run_test(size=SIZE) as pilot:
        assets, _, _ = await started(pilot, until, 50_000)
        await pilot.press("ctrl+d", "ctrl+d", "ctrl+u")
        assert assets.cursor == assets.rows_seen // 2


# -- columns ---------------------------------------------------------------------------------------------------------


async def test_columns_are_ticked_moved_and_sorted_by(few, app, until, text):
    async with (it := app(few)).run_test(size=(200, 60)) as pilot:
        assets, bar, _ = await started(pilot, until)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(it.screen, ColumnDialog))
        rows = it.screen.query_one(ColumnRows)
        await pilot.press("space", "down", "space")
        assert rows.names == tuple(name for name in USUAL if name != "kind"), "the name stays"
        rows.cursor = next(row for row, column in enumerate(rows.rows) if column.name == "added")
        await pilot.press("space", *["K"] * rows.cursor, "down", "shift+down", "shift+down", "s")
        await until(pilot, lambda: not isinstance(it.screen, ColumnDialog))
        assert [column.name for column in assets.columns] == ["added", "arch", "name", *USUAL[3:]]
        await until(pilot, lambda: "by name ▼" in str(bar.summary))
        heading = next(line for line in text(it).splitlines() if "Name ▼" in line)
        assert heading.index("Added") < heading.index("Arch") < heading.index("Name")
        await pilot.press("c", "r", "enter")
        await until(pilot, lambda: [column.name for column in assets.columns] == list(USUAL))


async def test_enter_takes_the_columns_as_the_keys_before_it_left_them(few, app, until, at_once):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, _, _ = await started(pilot, until)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(it.screen, ColumnDialog))
        at_once(it, "down", "space", "enter")
        await until(pilot, lambda: not isinstance(it.screen, ColumnDialog))
        assert [column.name for column in assets.columns] == [name for name in USUAL if name != "kind"]


async def test_columns_that_have_no_room_are_hinted_at(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        assert "»" in text(it)
        await pilot.press("d")
        await until(pilot, lambda: "»" not in text(it) and "Dtype" in text(it))


# -- from one start to the next --------------------------------------------------------------------------------------


async def test_everything_is_as_it_was_left(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets, bar, side = await started(pilot, until)
        side.unfolded = side.unfolded | {"lora"}
        side.saved = {"mine": "kind:vae"}
        bar.put("kind:lora")
        await until(pilot, lambda: assets.count == 3)
        it.screen.finder.sort_by("size")
        await until(pilot, lambda: assets.order == ("size", False) and assets.ids[0] != 2)
        here = assets.ids[1]
        assets.cursor = 1
        await pilot.press("d", "c", "down", "space", "enter")
        bar.history = ["old one"]
        it.leave()
    assert json.loads((few.folder / "state.json").read_text())["browse"]["query"] == "kind:lora"

    async with (it := ModelhubApp(Library(few.folder))).run_test(size=SIZE) as pilot:
        assets, bar, side = parts(it)
        assert bar.text == "kind:lora", "before the first search"
        assert not it.screen.pane.display
        await until(pilot, lambda: assets.count == 3 and side.survey.total)
        assert assets.ids[assets.cursor] == here
        assert "kind" not in [column.name for column in assets.columns]
        assert "by size ▼" in str(bar.summary) and bar.history == ["old one"]
        assert "lora" in side.unfolded and side.saved == {"mine": "kind:vae"}
        await until(pilot, lambda: any("●" in line and "lora" in line for line in text(it).splitlines()))


@pytest.mark.parametrize("kept", [7, "x", None, [], {}, [1, "kind", None], {"a": 1}, ["size"], ["size", 3], True])
def test_whatever_was_remembered_makes_a_start(kept):
    names = ("query", "order", "columns", "asset", "history", "unfolded", "saved", "sidebar", "detail")
    found = start_of(dict.fromkeys(names, kept))
    assert isinstance(found, Start) and isinstance(found.query, str)
    assert found.order == ("name", False)
    assert all(isinstance(text, str) for text in found.history)


@pytest.mark.parametrize("kept", [7, "x", ["a", 3], {"b": [1]}])
async def test_a_spoilt_memory_spoils_nothing(few, app, until, text, kept):
    names = ("query", "order", "columns", "asset", "history", "unfolded", "saved", "sidebar", "detail")
    (few.folder / "state.json").write_text(json.dumps({"browse": dict.fromkeys(names, kept)}))
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "of 12" in text(it))
        assert "Name" in text(it)
