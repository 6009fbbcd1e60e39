"""The palette: what it finds, in which order, what choosing does; quick at fifty thousand assets; themes tried on."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.cli.console import build_parser
from modelhub.settings import Settings, load_settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.commands.screen import CommandsScreen
from modelhub.tui.finding.palette import Entry, ranked
from modelhub.tui.finding.palette_screen import PaletteScreen
from modelhub.tui.library import Library

SIZE = (120, 40)


def entry(label, help="", kind="Action"):
    return Entry(kind, label, help, lambda: None)


def test_the_best_comes_first():
    some = [
        entry("Turn merge round"), entry("Remerge it"), entry("Other", "Merge models."), entry("Merge lab"),
        entry("Merge"), entry("Nothing"), entry("many empty regions get entered"),
    ]  # fmt: skip
    assert [one.label for one in ranked(some, "merge")] == [
        "Merge", "Merge lab", "Turn merge round", "Remerge it", "Other", "many empty regions get entered",
    ]  # fmt: skip
    assert [one.label for one in ranked(some, "la mer")] == ["Merge lab"]
    assert ranked(some, "") == some
    assert ranked(some, "zzz") == []


async def opened(pilot, until, count):
    await until(pilot, lambda: pilot.app.screen.assets.count == count)
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen) and pilot.app.screen.list.count)
    return pilot.app.screen


def labels(palette):
    return [one.label for one in palette.list.entries]


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
async def test_an_action_of_this_place_is_run(few, app, until, text, size):
    async with (it := app(few)).run_test(size=size) as pilot:
        palette = await opened(pilot, until, 12)
        await pilot.press(*"reverse")
        await until(pilot, lambda: labels(palette)[:1] == ["Reverse"])
        assert "S" in palette.list.entries[0].keys
        await pilot.press("enter")
        await until(pilot, lambda: it.screen.assets.order[1])


async def test_a_place_is_gone_to_and_remapped_keys_are_shown(few, until):
    it = ModelhubApp(few, Settings(), {"app.go_settings": "f9"})
    async with it.run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 12)
        await pilot.press(*"settings")
        await until(pilot, lambda: labels(palette)[:1] == ["Settings"])
        assert palette.list.entries[0].keys == "f9"
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "settings")


async def test_an_asset_is_gone_to_among_fifty_thousand(many, app, until):
    async with (it := app(many)).run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 50_000)
        await pilot.press(*"model-31415")
        await until(pilot, lambda: "model-31415.safetensors" in labels(palette))
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "browse" and it.screen.assets.current.id == 31415)


async def test_an_asset_that_the_filter_hides_is_gone_to(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        it.screen.finder.bar.put("00003")
        await until(pilot, lambda: it.screen.assets.count == 1)
        palette = await opened(pilot, until, 1)
        await pilot.press(*"00007")
        await until(pilot, lambda: labels(palette)[:1] == ["model-00007.safetensors"])
        await pilot.press("enter")
        await until(pilot, lambda: it.screen.assets.count == 1 and it.screen.assets.current.id == 7)


async def test_a_command_of_the_command_line_opens_its_form(few, until):
    it = ModelhubApp(few, Settings(), parser=build_parser)
    async with it.run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 12)
        await pilot.press(*"lora extract")
        await until(pilot, lambda: "lora extract" in labels(palette))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, CommandsScreen) and it.screen.form is not None)
        assert it.screen.form.form.name == "lora extract"


async def test_a_recipe_of_the_lab_is_brought_back(few, app, until, monkeypatch):
    from modelhub.tui.lab.history import History
    from modelhub.tui.lab.screen import MergeLab

    kept = History(few.folder).add("preview", "sunset [b]mix", "")
    recalled = []
    monkeypatch.setattr(MergeLab, "bring_back", lambda self, entry: recalled.append(entry))
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 12)
        await pilot.press(*"sunset")
        await until(pilot, lambda: "sunset [b]mix" in labels(palette))
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "lab" and recalled == [kept])


async def test_names_with_markup_and_escape_codes_are_shown(home, app, until, text):
    with Catalog.open(home) as catalog:
        catalog.record(home / "[red]wild\x1b[31m.safetensors", FileStat(1, 1, 5, 0), Identity(kind="lora"), "1")
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 1)
        await pilot.press(*"wild")
        await until(pilot, lambda: any(one.kind == "Asset" for one in palette.list.entries))
        await until(pilot, lambda: "[red]wild\\x1b[31m" in text(it))


async def test_a_bad_query_and_nothing_found_are_no_trouble(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 12)
        palette.query_one(Input).value = 'kind:( "'
        await until(pilot, lambda: palette.list.count == 0)
        await pilot.press("enter")
        assert it.screen is palette
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "browse" and it.screen is not palette)


async def test_a_theme_is_worn_while_the_cursor_is_on_it_and_kept_by_enter(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(it.screen, PaletteScreen) and it.screen.list.current.label == "modelhub")
        await pilot.press("down")
        await until(pilot, lambda: it.theme == it.screen.list.current.label != "modelhub")
        assert load_settings(few.folder).theme == "modelhub"
        await pilot.press("escape")
        await until(pilot, lambda: it.theme == "modelhub")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(it.screen, PaletteScreen) and it.screen.list.count)
        await pilot.press(*"nord")
        await until(pilot, lambda: it.theme == "nord")
        assert load_settings(few.folder).theme == "modelhub"
        await pilot.press("enter")
        await until(pilot, lambda: load_settings(few.folder).theme == "nord")
        assert it.theme == "nord"


async def test_what_is_found_later_moves_no_cursor_that_was_moved(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        palette = await opened(pilot, until, 12)
        await pilot.press("l", "down", "down")
        here = palette.list.current
        assert palette.list.cursor == 2
        palette._entries.insert(0, entry("l"))
        palette.post_message(PaletteScreen.Recipes(()))
        await until(pilot, lambda: labels(palette)[0] == "l")
        assert palette.list.current is here
        assert it.screen is palette
