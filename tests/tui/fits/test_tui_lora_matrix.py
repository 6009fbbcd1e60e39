"""The matrix: signs of all pairs of what is marked, the evidence of the one under the cursor, many models, and none."""

from __future__ import annotations

import time

import pytest
from lora_place_steps import BASE, FRAMED, WIDE, named, save_wide

from modelhub.catalog.store import Catalog
from modelhub.lora.checking.answer import SIGNS, VERDICTS
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_matrix import Row
from modelhub.tui.fits.matrix_screen import MatrixScreen
from modelhub.tui.library import Library

SIZE = (120, 40)
PASTEL = "tiny-shapes-pastel-unet.safetensors"


@pytest.fixture
def library(models, home):
    save_wide(models)
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home)


async def matrix(pilot, until, library, loras, models):
    await pilot.pause()
    screen = MatrixScreen(library, loras, models)
    pilot.app.push_screen(screen)
    await until(pilot, lambda: screen.query("#matrix") and not screen._finding)
    return screen


async def test_what_is_marked_is_checked_pair_by_pair(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 5)
        assets.marks = {asset.id: None for asset in named(library, BASE, FRAMED, WIDE, PASTEL)}
        await pilot.press("f")
        await until(pilot, lambda: isinstance(it.screen, MatrixScreen) and it.screen.query("#matrix"))
        screen = it.screen
        await until(pilot, lambda: "4 pairs: ✓ 2  ✗ 2" in text(it))
        assert [asset.name for asset in screen.matrix.models] == [BASE, PASTEL], "the others are not marked"
        await until(pilot, lambda: "✓ compatible" in text(it) and f"{FRAMED} on" in text(it))
        await pilot.press("right", "down")
        await until(pilot, lambda: "✗ incompatible" in text(it) and "too-wide[b].safetensors on" in text(it))
        assert "2 of 2  tiny-shapes-pastel-unet" in text(it)
        await pilot.press("enter")
        assert it.focused.id == "evidence"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))


async def test_one_side_alone_is_put_beside_all_of_the_library(library, app, until, text):
    async with app(library).run_test(size=(80, 24)) as pilot:
        screen = await matrix(pilot, until, library, named(library, FRAMED), [])
        assert len(screen.matrix.models) == 3
        assert all(child.region.right <= 80 for child in screen.query("#fits *"))
        pilot.app.pop_screen()
        screen = await matrix(pilot, until, library, [], named(library, BASE))
        assert screen.matrix.count == 2 and screen.matrix.counts == {"compatible": 1, "incompatible": 1}


async def test_an_empty_library_says_what_to_do(home, app, until, text):
    Catalog.open(home).close()
    library = Library(home)
    async with (it := app(library)).run_test(size=(80, 24)) as pilot:
        await matrix(pilot, until, library, [], [])
        await until(pilot, lambda: "There is nothing to check" in text(it) and "a scans a folder" in text(it))
        await pilot.press("right", "down", "enter", "s", "m", "escape", "escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))


async def test_many_models_scroll_sideways_under_their_numbers(library, app, until, text, monkeypatch):
    lora, model = named(library, FRAMED, BASE)

    def many(catalog, loras, models, job):
        return [model] * 300, iter([Row(lora, bytes([*range(6)] * 50))] * 40)

    monkeypatch.setattr(partners, "matrix", many)
    async with (it := app(library)).run_test(size=(100, 20)) as pilot:
        screen = await matrix(pilot, until, library, [], [])
        assert screen.matrix.counts == dict.fromkeys(VERDICTS, 2000)
        await until(pilot, lambda: "1 of 300" in text(it) and all(SIGNS[verdict] in text(it) for verdict in VERDICTS))
        await pilot.press("shift+right", "end")
        await until(pilot, lambda: "300 of 300" in text(it) and " 299 " in text(it))
        assert screen.matrix.column == 299 and screen.matrix.cursor == 39
        await pilot.press("right")
        assert screen.matrix.column == 299
        assert all(len(line) == 100 for line in text(it).splitlines())
        await pilot.click(screen.matrix, offset=(screen.matrix._layout(screen.matrix.size.width)[0] + 1, 4))
        assert screen.matrix.column < 299


async def test_escape_stops_what_is_not_finished(library, app, until, text, monkeypatch):
    lora, model = named(library, FRAMED, BASE)

    def endless(catalog, loras, models, job):
        def rows():
            while True:
                job.check()
                time.sleep(0.002)
                yield Row(lora, b"\0")

        return [model], rows()

    monkeypatch.setattr(partners, "matrix", endless)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.pause()
        it.push_screen(MatrixScreen(library, [], []))
        await until(pilot, lambda: it.screen.query("#matrix") and it.screen.matrix.count > 10)
        screen = it.screen
        await pilot.press("escape")
        await until(pilot, lambda: not screen._finding and "stopped; so far" in text(it))
        assert it.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))
