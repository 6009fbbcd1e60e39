"""The trash can: every move to the trash with its files, brought back or deleted for good, never unasked."""

from __future__ import annotations

import time

from textual.widgets import Input, Static

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.organize.emptying import contents
from modelhub.organize.trash import trash
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.filing.trash_can import TrashScreen
from modelhub.tui.screens.dialogs import AskDialog, ConfirmDialog, ErrorDialog

SIZE = (120, 40)


def throw_away(library, *names):
    """One move to the trash for each name."""
    with Catalog.open(library.folder) as catalog:
        for name in names:
            trash(catalog, catalog.named(name))


def left(library):
    with Catalog.open(library.folder) as catalog:
        return len(contents(catalog))


async def opened(pilot, until, lines):
    await until(pilot, lambda: pilot.app.screen.query_one(AssetList).count)
    await pilot.press("X")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrashScreen))
    screen = pilot.app.screen
    await until(pilot, lambda: screen.list.empty and screen.list.count == lines)
    return screen


async def test_what_is_there_is_listed_and_brought_back(tiny, models, app, until, text):
    throw_away(tiny, "tiny-shapes-base", "tiny-shapes-framed-lora")
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until, 2)
        assert "2 assets, 2 files" in text(it) and "tiny-shapes-base.safetensors" in text(it)
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.list.count == 1)
        assert (models / "tiny-shapes-base.safetensors").exists()
        assert not (models / "tiny-shapes-framed-lora.safetensors").exists()
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not screen and it.screen.query_one(AssetList).count == 3)


async def test_deleting_asks_and_frees(tiny, app, until, text):
    throw_away(tiny, "tiny-shapes-base", "tiny-shapes-framed-lora")
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until, 2)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        assert "tiny-shapes-framed-lora.safetensors" in text(it) and "cannot be undone" in text(it)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        assert left(tiny) == 2
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: left(tiny) == 1 and screen.list.count == 1)
        await pilot.press("E")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "The trash is empty." in text(it))
        assert left(tiny) == 0
        await pilot.press("enter", "x", "E")
        assert it.screen is screen


async def test_only_what_is_old_is_deleted(tiny, app, until, text):
    throw_away(tiny, "tiny-shapes-base", "tiny-shapes-framed-lora")
    with Catalog.open(tiny.folder) as catalog, catalog.atomic():
        catalog.rows("UPDATE journal SET at = ? WHERE id = 1", [time.time() - 40 * 86_400])
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until, 2)
        await pilot.press("O")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = "[b]many"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("escape", "O")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        asked = str(it.screen.query_one("#message", Static).content)
        assert "tiny-shapes-base" in asked and "framed-lora" not in asked and "1 asset" in asked
        await pilot.press("enter")
        await until(pilot, lambda: screen.list.count == 1 and left(tiny) == 1)


async def test_an_empty_trash_says_what_it_is_for(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(80, 24)) as pilot:
        await opened(pilot, until, 0)
        assert "The trash is empty." in text(it)


async def test_an_interrupted_move_is_only_brought_back(tiny, app, until, text):
    throw_away(tiny, "tiny-shapes-base")
    with Catalog.open(tiny.folder) as catalog:
        entry = journal.last(catalog)
        journal.update(catalog, entry.id, {**entry.details, "state": "begun"})
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, until, 1)
        assert "interrupted" in text(it)
        await pilot.press("x", "E")
        await pilot.pause()
        assert it.screen is screen and left(tiny) == 1
        await pilot.press("r")
        await until(pilot, lambda: screen.list.count == 0)
