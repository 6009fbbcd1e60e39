"""The interface and settings.toml: the theme is kept, scans hash as asked; and what a scan and ctrl+c say."""

from __future__ import annotations

from modelhub.settings import Settings, load_settings, save_settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ErrorDialog

SIZE = (120, 40)


async def test_a_chosen_theme_is_kept_beside_other_settings(few, app, until):
    save_settings(Settings(preview_steps=3), few.folder)
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        assert load_settings(few.folder).theme == "modelhub"
        it.theme = "nord"
        await until(pilot, lambda: load_settings(few.folder) == Settings(preview_steps=3, theme="nord"))


async def test_a_theme_that_cannot_be_kept_is_worn_and_said(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        (few.folder / "settings.toml").write_text("theme = ", encoding="utf-8")
        it.theme = "nord"
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "not valid TOML" in it.screen.error.message
        assert it.theme == "nord"


async def test_interrupting_tells_how_to_leave(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "ctrl+q to leave" in text(it))
        assert it.is_running


async def test_a_scan_hashes_as_the_settings_say(models, home, until):
    library = Library(home)
    it = ModelhubApp(library, Settings(hash="fast"))
    async with it.run_test(size=SIZE) as pilot:
        it.screen.start_scan((models,))
        await until(pilot, lambda: it.screen.assets.count == 4 and not it.jobs.open)
    with library.open() as catalog:
        assert all(asset.sha256 for asset in catalog.assets(catalog.ids("")))
        assert catalog.count("") == 4


async def test_a_scan_says_why_the_first_file_could_not_be_read(models, home, app, until):
    (models / "broken.safetensors").write_bytes(b"\xff" * 40)
    async with (it := app(Library(home))).run_test(size=SIZE, notifications=True) as pilot:
        it.screen.start_scan((models,))
        await until(pilot, lambda: any("(problem:yes)" in note.message for note in it._notifications))
        assert "broken.safetensors is not" in next(iter(it._notifications)).message
