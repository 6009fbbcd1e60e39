"""Saying what a file is: the dialog, what it writes, and the way back."""

from __future__ import annotations

import pytest
from textual.widgets import Input, OptionList

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse.naming import NamingDialog
from modelhub.tui.screens.dialogs import ErrorDialog

SIZES = ((120, 40), (80, 24))


def said(library, number=1):
    with Catalog.open(library.folder) as catalog:
        asset = catalog.get(number)
        return asset.kind, asset.architecture, asset.said


async def opened(pilot, until, count=12):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == count)
    await pilot.press("i")
    await until(pilot, lambda: isinstance(pilot.app.screen, NamingDialog))
    kinds = pilot.app.screen.query_one(OptionList)
    await until(pilot, lambda: kinds.highlighted is not None)
    return kinds


@pytest.mark.parametrize("size", SIZES)
async def test_kind_and_architecture_are_set_shown_and_taken_back(few, app, until, text, size):
    before = said(few)
    async with (it := app(few)).run_test(size=size) as pilot:
        kinds = await opened(pilot, until)
        assert kinds.highlighted_option.id == "auto" and f"as the file says: {before[0]}" in text(it)
        assert "enter takes" in text(it)
        kinds.highlighted = kinds.get_option_index("lora")
        await pilot.press("tab", *"SDXL", "enter")
        await until(pilot, lambda: said(few) == ("lora", "sdxl", {"kind": "lora", "architecture": "sdxl"}))
        if size[0] >= 100:
            await until(pilot, lambda: "set by you" in text(it))
        kinds = await opened(pilot, until)
        assert kinds.highlighted_option.id == "lora" and it.screen.query_one(Input).value == "sdxl"
        kinds.highlighted = 0
        await pilot.press("tab", *["backspace"] * 4, "enter")
        await until(pilot, lambda: said(few) == before)
        await pilot.press("u")
        await until(pilot, lambda: said(few)[2] == {"kind": "lora", "architecture": "sdxl"})


async def test_of_many_only_what_was_changed_is_written(few, app, until):
    with Catalog.open(few.folder) as catalog:
        catalog.override([2], {"architecture": "flux1"})
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 12)
        await pilot.press("space", "space", "space")
        kinds = await opened(pilot, until)
        kinds.highlighted = kinds.get_option_index("vae")
        await pilot.press("enter")
        await until(pilot, lambda: said(few, 3)[0] == "vae")
        assert said(few, 2) == ("vae", "flux1", {"kind": "vae", "architecture": "flux1"})
        await opened(pilot, until)
        await pilot.press("tab", *"auto", "enter")
        await until(pilot, lambda: said(few, 2)[2] == {"kind": "vae"})


async def test_leaving_and_changing_nothing_write_nothing(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        for key in ("escape", "enter"):
            await opened(pilot, until)
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(it.screen, NamingDialog))
        await pilot.pause(0.1)
        with Catalog.open(few.folder) as catalog:
            assert journal.entries(catalog) == []


async def test_a_word_that_cannot_be_an_architecture_is_refused(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await opened(pilot, until)
        await pilot.press("tab", *"a[b", "enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "cannot be architecture" in it.screen.error.message and said(few)[2] == {}


async def test_architectures_are_completed(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await opened(pilot, until)
        await pilot.press("tab", *"sdxl-r")
        field = it.screen.query_one(Input)
        await until(pilot, lambda: field._suggestion)
        await pilot.press("right")
        assert field.value == "sdxl-refiner"


async def test_enter_waits_for_the_keys_before_it(few, app, until, at_once):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        await opened(pilot, until)
        await pilot.press("tab")
        at_once(it, *"sdx", "l", "x", "backspace", "enter")
        await until(pilot, lambda: said(few)[1] == "sdxl")
        kinds = await opened(pilot, until)
        at_once(it, "down", "down", "enter")
        await until(pilot, lambda: not isinstance(it.screen, NamingDialog))
        await until(pilot, lambda: said(few)[0] == kinds.get_option_at_index(2).id)


async def test_a_click_on_a_kind_chooses_and_does_not_take(few, app, until):
    async with (it := app(few)).run_test(size=SIZES[0]) as pilot:
        kinds = await opened(pilot, until)
        await pilot.click(kinds, offset=(3, 1))
        await until(pilot, lambda: kinds.highlighted == 1)
        assert isinstance(it.screen, NamingDialog)
