"""Trash and undo in the interface: asked first, said afterwards, and back with one key."""

from __future__ import annotations

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.screens.dialogs import ConfirmDialog, ErrorDialog

SIZE = (120, 40)


async def started(pilot, until, count):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == count)
    return assets


def files(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_the_marked_go_to_the_trash_and_come_back(tiny, models, app, until, text):
    before = files(models)
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        assets = await started(pilot, until, len(before))
        await pilot.press("space", "space", "x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        seen = text(it)
        assert before[0] in seen and before[1] in seen and "MB" in seen and "2 assets" in seen
        await pilot.press("enter")
        await until(pilot, lambda: assets.count == len(before) - 2)
        assert files(models) == before[2:] and not assets.marks
        await until(pilot, lambda: "Moved 2 assets to the trash" in text(it))
        await pilot.press("u")
        await until(pilot, lambda: assets.count == len(before))
        await until(pilot, lambda: "Undid 1" in text(it))
        assert files(models) == before


async def test_escape_and_no_leave_everything(tiny, models, app, until):
    before = files(models)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        assets = await started(pilot, until, len(before))
        for key in ("escape", "n"):
            await pilot.press("delete")
            await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(it.screen, ConfirmDialog))
        assert files(models) == before and assets.count == len(before)


async def test_what_cannot_go_is_explained(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:  # rows of files that never were
        assets = await started(pilot, until, 12)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.click("#take")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "is missing already" in it.screen.error.message and assets.count == 12
        await pilot.press("escape", "u")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "nothing to undo" in it.screen.error.message


async def test_words_are_undone_too(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)

        def rating():
            with Catalog.open(few.folder) as catalog:
                return catalog.get(1).rating, len(journal.entries(catalog))

        await pilot.press("4")
        await until(pilot, lambda: rating() == (4, 1))
        await pilot.press("u")
        await until(pilot, lambda: rating() == (0, 1))
        assert it.screen.query_one(AssetList).count == 12


async def test_hostile_names_in_the_question(home, tmp_path, app, until, text):
    from modelhub.catalog.asset import FileStat
    from modelhub.catalog.identity import Identity
    from modelhub.tui.library import Library

    path = tmp_path / "[red]x[/] two\nlines \x1b[31m.safetensors".replace("/", "")
    path.write_bytes(b"x")
    with Catalog.open(home) as catalog:
        catalog.record(path, FileStat.of(path.stat()), Identity(format="safetensors"), "1")
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await started(pilot, until, 1)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        assert "[red]x[] two\\x0alines \\x1b[31m.safetensors" in text(it)
        await pilot.press("y")
        await until(pilot, lambda: not path.exists())
