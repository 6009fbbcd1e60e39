"""The settings place: fields checked and written at once, themes tried on, folders, tokens that are never shown."""

from __future__ import annotations

import pytest
from textual.widgets import Input, Select
from world import World

from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.settings import CHOICES, Settings, load_settings, save_settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.commands.suggestions import complete_path
from modelhub.tui.download.running import QueueRunner
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, ConfirmDialog, ErrorDialog
from modelhub.tui.settings.fields import FIELDS, SECTIONS, read_value
from modelhub.tui.settings.folder_list import FolderList
from modelhub.tui.settings.screen import SettingsScreen
from modelhub.tui.settings.secret import Secret, SecretDialog
from modelhub.tui.settings.theme_list import ThemeList
from modelhub.tui.settings.tokens_pane import TokenBox

SIZES = [(120, 40), (80, 24), (200, 60)]
TOKEN = "civitai-token-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_keyring():
    import keyring
    from keyring.backends.null import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


async def opened(pilot, until, section="look"):
    await until(pilot, lambda: pilot.app.screen.is_mounted)
    pilot.app.go("settings")
    await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen) and pilot.app.screen.query("TokenBox"))
    pilot.app.screen.show_section(section)
    await until(pilot, lambda: pilot.app.screen.query_one(f"#section-{section}").display)
    return pilot.app.screen


def row(place, name):
    return place.query_one(f"#set-{name.replace('_', '-')}")


# -- fields ------------------------------------------------------------------------------------------------------------


def test_every_setting_has_a_field_or_is_the_theme():
    assert {one.name for one in FIELDS} | {"theme"} == set(Settings._fields)
    assert {one.section for one in FIELDS} <= set(SECTIONS)
    assert {one.name for one in FIELDS if one.choices} == set(CHOICES)
    assert all(one.help.endswith(".") for one in FIELDS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("threads", " 4 ", 4), ("preview_prompt", " a [b]cat ", " a [b]cat "), ("download_path", "{tag}", "{tag}"),
     ("download_sidecars", "a1111, civitai-info", "a1111, civitai-info")],
)  # fmt: skip
def test_a_text_is_read_as_what_it_means(name, text, value):
    assert read_value(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("threads", "-1"), ("threads", "many"), ("threads", ""), ("threads", "9" * 5000), ("threads", "²"),
     ("download_path", "{nothing}"), ("download_sidecars", "nonsense"), ("device", "gpu")],
)  # fmt: skip
def test_a_text_that_cannot_be_is_refused(name, text):
    with pytest.raises(UsageError) as caught:
        read_value(name, text)
    assert caught.value.hint


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_typed_is_checked_and_written_at_once(few, app, until, text, size):
    (few.folder / "settings.toml").write_text('# mine\nhash = "fast"\n')
    async with (it := app(few)).run_test(size=size) as pilot:
        place = await opened(pilot, until, "previews")
        field = row(place, "preview_steps").query_one(Input)
        field.focus()
        field.value = "many"
        await until(pilot, lambda: "whole number from 0 on" in text(it))
        field.value = "7"
        await until(pilot, lambda: load_settings(few.folder).preview_steps == 7)
        assert "whole number" not in text(it)
        assert it.settings.preview_steps == 7
        assert (few.folder / "settings.toml").read_text().startswith('# mine\nhash = "fast"\n')


async def test_a_choice_is_written_and_density_holds_at_once(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        place = await opened(pilot, until)
        before = it.place("browse").assets.size
        row(place, "density").query_one(Select).value = "comfortable"
        await until(pilot, lambda: load_settings(few.folder).density == "comfortable")
        it.go("browse")
        await until(pilot, lambda: it.screen.assets.size.width < before.width)
        assert it.screen.assets.count == 12


async def test_a_file_that_cannot_be_written_is_explained(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        place = await opened(pilot, until)
        (few.folder / "settings.toml").write_text("theme = ")
        row(place, "pictures").query_one(Select).value = "blocks"
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert (few.folder / "settings.toml").read_text() == "theme = "


async def test_the_section_is_remembered_and_escape_goes_back(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        place = await opened(pilot, until, "downloads")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.focused, Input))
        await pilot.press("escape")
        await until(pilot, lambda: it.focused is place.list)
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "browse")
        await pilot.press("ctrl+q")
    async with (it := app(Library(few.folder))).run_test(size=SIZES[0]) as pilot:
        await pilot.press("comma")
        await until(pilot, lambda: isinstance(it.screen, SettingsScreen) and it.screen.list.current == "downloads")


# -- themes ------------------------------------------------------------------------------------------------------------


async def test_a_theme_is_tried_on_and_taken_off_unless_it_is_kept(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        place = await opened(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.focused, ThemeList))
        await pilot.press("down")
        await until(pilot, lambda: it.theme == "monokai")
        assert load_settings(few.folder).theme == "modelhub"
        await pilot.press("escape")
        await until(pilot, lambda: it.theme == "modelhub" and it.focused is place.list)
        await pilot.press("enter", "down", "down", "enter")
        await until(pilot, lambda: load_settings(few.folder).theme == "nord")
        await pilot.press("escape")
        await until(pilot, lambda: it.focused is place.list)
        assert it.theme == "nord"


# -- folders -----------------------------------------------------------------------------------------------------------


async def test_a_folder_is_added_scanned_found_missing_and_removed(home, models, app, until, text):
    async with (it := app(Library(home))).run_test(size=(160, 40)) as pilot:
        place = await opened(pilot, until, "folders")
        await until(pilot, lambda: "No folder is scanned yet" in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.focused, FolderList))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = str(models)
        await pilot.press("enter")
        folders = place.query_one(FolderList)
        await until(pilot, lambda: folders.count == 1 and folders.folders[0].assets == 4)
        models.rename(models.with_name("elsewhere"))
        place.query_one("FoldersPane").look()
        await until(pilot, lambda: "is not there" in text(it))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: folders.count == 0)
    with Catalog.open(home) as catalog:
        assert catalog.roots() == [] and catalog.count("") == 4


def test_a_path_is_completed(tmp_path):
    for name in ("models", "modest", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "moby.txt").touch()
    start = f"{tmp_path}/"
    assert complete_path(f"{start}mo") == f"{start}moby.txt"
    assert complete_path(f"{start}mo", folders=True) == f"{start}models/"
    assert complete_path(f"{start}mode") == f"{start}models/"
    assert complete_path(f"{start}.h") == f"{start}.hidden/"
    assert complete_path(start) == f"{start}moby.txt"
    assert complete_path(f"{start}zzz") is complete_path("") is complete_path("/nowhere/at/all") is None
    assert complete_path("a\0b/") is None


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_a_secret_does_not_show_itself():
    assert TOKEN not in repr(Secret(TOKEN, True)) + str(Secret(TOKEN, True))


async def test_a_token_is_checked_kept_told_tested_and_removed(world: World, home, app, until, text):
    async with (it := app(Library(home))).run_test(size=(160, 40), notifications=True) as pilot:
        place = await opened(pilot, until, "tokens")
        await until(pilot, lambda: text(it).count("no token") == 2)
        box = place.query_one("#token-civitai", TokenBox)
        box.query_one("#set").focus()
        await pilot.press("s")
        await until(pilot, lambda: isinstance(it.screen, SecretDialog))
        it.screen.query_one(Input).value = TOKEN
        await pilot.pause()
        assert TOKEN not in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: "It is mara's" in text(it) and "set: it comes from" in text(it))
        assert TOKEN in (home / "tokens.toml").read_text() and TOKEN not in text(it)
        await pilot.press("t")
        await until(pilot, lambda: "Civitai knows it" in text(it))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: not (home / "tokens.toml").exists() and text(it).count("no token") >= 2)
    assert TOKEN not in str([record.log for record in it.jobs.records])


async def test_a_token_that_is_not_known_is_explained_and_not_kept(world: World, home, app, until):
    async with (it := app(Library(home))).run_test(size=SIZES[0]) as pilot:
        place = await opened(pilot, until, "tokens")
        place.query_one("#token-civitai", TokenBox)._keep(Secret("wrong-token", True))
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "does not know this token" in it.screen.error.message
        assert not (home / "tokens.toml").exists()


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("size", SIZES)
async def test_every_section_is_drawn_at_every_size(few, app, until, text, section, size):
    async with ModelhubApp(few, Settings(density="comfortable")).run_test(size=size) as pilot:
        await opened(pilot, until, section)
        await until(pilot, lambda: SECTIONS[section][:8] in text(pilot.app))
        assert not pilot.app._exception


async def test_going_through_a_field_changes_nothing(few, until):
    kept = Settings(preview_prompt="a harbour,\nat night")
    save_settings(kept, few.folder)
    async with ModelhubApp(few, kept).run_test(size=(120, 40)) as pilot:
        place = await opened(pilot, until, "previews")
        field = row(place, "preview_prompt").query_one(Input)
        field.focus()
        await until(pilot, lambda: field.has_focus)
        place.list.focus()
        await until(pilot, lambda: not field.has_focus)
        assert load_settings(few.folder).preview_prompt == "a harbour,\nat night"


async def test_without_a_folder_the_whole_sentence_is_read_at_80_columns(home, app, until, text):
    async with (it := app(Library(home))).run_test(size=(80, 24)) as pilot:
        await opened(pilot, until, "folders")
        await until(pilot, lambda: "name the one that holds your models." in text(it))


async def test_downloads_that_run_hear_of_a_new_token(few, app, until, monkeypatch):
    heard = []
    monkeypatch.setattr(QueueRunner, "forget_tokens", lambda self: heard.append(1))
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: it.here == "download")
        place = await opened(pilot, until, "tokens")
        place.query(TokenBox).first().post_message(TokenBox.Removed("It is gone."))
        await until(pilot, lambda: heard)
