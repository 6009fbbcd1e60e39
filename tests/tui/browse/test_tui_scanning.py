"""Scanning from the library, and what others write to the catalog while it is open."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save_file
from textual.widgets import Input

from modelhub.catalog.store import Catalog
from modelhub.organize import words
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse import screen
from modelhub.tui.library import Library

SIZE = (120, 40)
#: So many are read by several processes.
COUNT = 210


async def test_hundreds_of_new_files_are_scanned(home, tmp_path, app, until, far, text):
    """Textual takes stderr away, and multiprocessing needs it to start processes."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(COUNT):
        save_file({"weight": np.full(8, number, np.float32)}, folder / f"new-{number}.safetensors")
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Nothing is catalogued yet" in text(it))
        await pilot.press("a")
        await until(pilot, lambda: it.screen.query(Input))
        it.screen.query_one(Input).value = str(folder)
        await pilot.press("enter")
        await until(pilot, lambda: f"{COUNT} of {COUNT}" in text(it))
        await until(pilot, lambda: not it.jobs.open)
    with Catalog.open(home) as catalog:
        assert len(catalog.find("missing:no problem:no")) == COUNT
        assert catalog.roots() == [folder]


async def test_what_others_write_is_shown_when_the_cursor_rests(few, app, until, text, monkeypatch):
    monkeypatch.setattr(screen, "_LOOK", 0.02)
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        monkeypatch.setattr(screen, "_STILL", 1e9)
        await pilot.press("down")
        with few.open() as catalog:
            words.tag(catalog, [catalog.ids()[2]], ["brandnew"], [])
        await pilot.pause(0.4)
        assert "brandnew" not in text(it)
        assert it.screen.query_one(AssetList).cursor == 1
        monkeypatch.setattr(screen, "_STILL", 0.1)
        await until(pilot, lambda: "brandnew" in text(it))
