"""Keys: all bindings in a table, another key by pressing it, clashes told, presets, written to keys.toml, no restart."""

from __future__ import annotations

import tomllib

import pytest
from textual.widgets import Input

from modelhub.errors import UsageError
from modelhub.settings import Settings
from modelhub.tui.actions import ACTIONS
from modelhub.tui.app import ModelhubApp
from modelhub.tui.keys.binding_table import all_bindings, clashes
from modelhub.tui.keys.key_dialogs import ClashDialog, KeyDialog, PresetDialog
from modelhub.tui.keys.key_list import KeyList
from modelhub.tui.keys.key_presets import PRESET_HELP, PRESETS
from modelhub.tui.keys.keymap import load_keys, save_keys, taken_from, with_keys
from modelhub.tui.screens.dialogs import ConfirmDialog

SIZE = (140, 40)


def bound(name):
    return next(one for one in all_bindings() if one.id == name)


def kept(library):
    path = library.folder / "keys.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def test_all_actions_and_the_bindings_of_widgets_are_in_the_table():
    ids = [one.id for one in all_bindings()]
    assert {action.id for action in ACTIONS} <= set(ids) and len(ids) == len(set(ids))
    assert {"filter.clear", "slider.more", "pick.take", "keys.remap"} <= set(ids)
    assert all(one.label and one.keys and one.title for one in all_bindings())


def test_clashes_are_those_that_hold_at_once():
    assert [one.id for one in clashes(bound("browse.sort"), "t", {})] == ["browse.tag"]
    assert "app.go_download" in {one.id for one in clashes(bound("browse.sort"), "D", {})}
    assert "list.cursor_down" in {one.id for one in clashes(bound("browse.sort"), "j", {})}
    assert clashes(bound("browse.sort"), "t", {"browse.tag": "f9"}) == []
    assert clashes(bound("slider.more"), "t", {}) == []
    assert [one.id for one in clashes(bound("queue.start"), "slash", {})] == ["download.ask"], "a page and its place"


def test_keys_are_put_back_and_taken_away():
    keys = with_keys({}, bound("browse.sort"), "z")
    assert keys == {"browse.sort": "z"}
    assert with_keys(keys, bound("browse.sort"), None) == {} == with_keys(keys, bound("browse.sort"), "s")
    assert taken_from({}, "t", [bound("browse.tag")]) == {"browse.tag": "none"}
    assert taken_from({}, "q", [bound("app.quit")]) == {"app.quit": "ctrl+q"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_of_bindings_that_there_are_and_takes_no_key_twice(name):
    keys = PRESETS[name]
    ids = {one.id for one in all_bindings()}
    assert set(keys) <= ids and PRESET_HELP[name].endswith(".")
    for name_of, new in keys.items():
        scope = bound(name_of).scope  # a key of a list and one of the place around it may be the same: the list has it
        others = {other for key in new.split(",") for other in clashes(bound(name_of), key, keys)}
        assert not {other.id for other in others if other.scope == scope or "app" in (other.scope, scope)}


def test_the_file_keeps_its_comments_and_is_checked(home):
    home.mkdir()
    (home / "keys.toml").write_text('# mine\n"browse.tag" = "f9"\n"slider.more" = "m"\n')
    assert load_keys(home) == {"browse.tag": "f9", "slider.more": "m"}
    save_keys(home, {"browse.tag": "f9", "browse.sort": "z"})
    assert (home / "keys.toml").read_text() == '# mine\n"browse.tag" = "f9"\n"browse.sort" = "z"\n'
    (home / "keys.toml").write_text('"slider.nothing" = "m"\n')
    with pytest.raises(UsageError, match=r"no action 'slider\.nothing'"):
        load_keys(home)


async def opened(pilot, until, find):
    await until(pilot, lambda: pilot.app.screen.assets.count == 12)
    pilot.app.go("settings")
    await until(pilot, lambda: pilot.app.here == "settings" and pilot.app.screen.query(KeyList))
    pilot.app.screen.show_section("keys")
    keys = pilot.app.screen.query_one(KeyList)
    await until(pilot, lambda: keys.count > 100)
    pilot.app.screen.query_one("#key-find", Input).value = find
    await until(pilot, lambda: 0 < keys.count < 20)
    keys.focus()
    await pilot.pause()
    return keys


async def test_another_key_holds_at_once_and_is_written(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await opened(pilot, until, "next column")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, KeyDialog))
        await pilot.press("z")
        await until(pilot, lambda: kept(few) == {"browse.sort": "z"})
        await until(pilot, lambda: "(was s)" in text(it))
        it.go("browse")
        await until(pilot, lambda: it.here == "browse")
        await pilot.press("z")
        await until(pilot, lambda: it.screen.assets.order[0] != "name")


async def test_a_key_that_is_taken_is_told_and_taken(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        keys = await opened(pilot, until, "next column")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, KeyDialog))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, ClashDialog) and "Tag (Library)" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "settings" and not isinstance(it.screen, ClashDialog))
        assert kept(few) == {}
        keys.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, KeyDialog))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, ClashDialog))
        await pilot.click("#take")
        await until(pilot, lambda: kept(few) == {"browse.tag": "none", "browse.sort": "t"})


async def test_one_more_reset_and_reset_all(few, until):
    it = ModelhubApp(few, Settings(), {"browse.tag": "f9"})
    save_keys(few.folder, it.keys)
    async with it.run_test(size=SIZE) as pilot:
        keys = await opened(pilot, until, "next column")
        await pilot.press("plus")
        await until(pilot, lambda: isinstance(it.screen, KeyDialog))
        await pilot.press("f8")
        await until(pilot, lambda: kept(few) == {"browse.tag": "f9", "browse.sort": "s,f8"})
        await until(pilot, lambda: it.focused is keys)
        await pilot.press("delete")
        await until(pilot, lambda: kept(few) == {"browse.tag": "f9"})
        await pilot.press("X")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: kept(few) == {} and it.keys == {})


async def test_a_preset_is_chosen(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await opened(pilot, until, "next column")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(it.screen, PresetDialog))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: kept(few) == PRESETS["emacs"])
        it.go("browse")
        await until(pilot, lambda: it.here == "browse")
        it.screen.assets.focus()
        await pilot.press("ctrl+n", "ctrl+n", "ctrl+p")
        await until(pilot, lambda: it.screen.assets.cursor == 1)


async def test_any_key_can_be_pressed_and_escape_leaves(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        keys = await opened(pilot, until, "next column")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, KeyDialog))
        await pilot.press("escape")
        await until(pilot, lambda: it.focused is keys)
        for key in ("ctrl+k", "tab"):
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(it.screen, KeyDialog))
            await pilot.press(key)
            await until(pilot, lambda key=key: kept(few) == {"browse.sort": key})
