"""Compare: facts and headers side by side, what differs lit, and only that if one likes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from modelhub.catalog.store import Catalog
from modelhub.formats.opening import read_any_header
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.compare.screen import CompareScreen
from modelhub.tui.compare.side_by_side import catalog_sections, differing, header_sections
from modelhub.tui.lab.frame import Frame
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ReportDialog


@pytest.fixture
def pair(home, make_file, tmp_path):
    folder = tmp_path / "pair"
    same = {"shared.weight": np.zeros((2, 3), "float16")}
    make_file(
        folder / "a.safetensors", {**same, "only.a": np.zeros(1, "float16")}, {"who": "[b]me[/b]\x1b", "same": "1"}
    )
    make_file(folder / "b.safetensors", {"shared.weight": np.zeros((2, 4), "float32")}, {"who": "you", "same": "1"})
    make_file(folder / "c.safetensors", same)
    Image.new("RGB", (40, 40), (9, 200, 9)).save(folder / "a.png")
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
    return Library(home)


def rows(sections):
    return {(section.title, row.label): row for section in sections for row in section.rows}


def test_facts_and_headers_are_put_side_by_side(pair):
    with pair.open() as catalog:
        assets = catalog.find("name:a OR name:b")[:2]
    headers = [read_any_header(asset.path)[1] for asset in assets]
    found = rows([*catalog_sections(assets), *header_sections(assets, headers)])
    assert found["Identity", "dtypes"].values == ("fp16", "fp32") and found["Identity", "dtypes"].differs
    assert not found["Identity", "format"].differs
    assert found["Tensors", "tensors"].values == ("2", "1") and found["Tensors", "only here"].values == ("1 other", "0")
    assert found["Other shapes", "shared.weight"].values == ("F16 [2, 3]", "F32 [2, 4]")
    assert found["Only in some", "only.a"].values == ("F16 [1]", "")
    assert found["Metadata", "who"].values == ("[b]me[/b]\\x1b", "you")
    assert ("Metadata", "same") not in rows(differing(header_sections(assets, headers)))


def test_a_hash_that_was_never_made_is_no_difference(pair):
    with pair.open() as catalog:
        one, two = catalog.find("name:a OR name:b")[:2]
    one, two = (replace(asset, hashes={**asset.hashes, "crc32": crc32}) for asset, crc32 in ((one, "ab"), (two, None)))
    assert not rows(catalog_sections([one, two]))["Hashes", "crc32"].differs
    two = replace(two, hashes={**two.hashes, "crc32": "cd"})
    assert rows(catalog_sections([one, two]))["Hashes", "crc32"].differs


async def compared(pilot, until, *marks):
    await until(pilot, lambda: pilot.app.screen.query_one(AssetList).count == 3)
    await pilot.press(*marks, "equals_sign")
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    screen = pilot.app.screen
    await until(pilot, lambda: not screen._is_reading)
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_two_are_compared_with_their_pictures(pair, app, until, text, size):
    async with (it := app(pair)).run_test(size=size) as pilot:
        screen = await compared(pilot, until, "space", "space")
        await until(pilot, lambda: screen.query_one("#side-0", Frame).pixels is not None)
        seen = text(it)
        assert "lines differ" in seen and "a.safetensors" in seen and "▀▀▀" in seen
        everything = screen.side.count
        await pilot.press("d")
        await until(pilot, lambda: screen.side.count < everything)
        await pilot.press("p")
        await until(pilot, lambda: "▀▀▀" not in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not screen)


async def test_values_are_read_in_full_and_copied(pair, app, until, text):
    async with (it := app(pair)).run_test(size=(120, 40)) as pilot:
        screen = await compared(pilot, until, "space", "space")
        labels = [getattr(row, "label", "") for row in screen.side._rows]
        screen.side.cursor = labels.index("who")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ReportDialog))
        assert "a.safetensors: [b]me[/b]\\x1b" in text(it)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        await pilot.press("y")
        assert it.clipboard == "who\na.safetensors: [b]me[/b]\\x1b\nb.safetensors: you"


async def test_three_can_be_compared_and_one_marked_goes_with_the_cursor(pair, app, until):
    async with (it := app(pair)).run_test(size=(120, 40)) as pilot:
        screen = await compared(pilot, until, "space", "space", "space")
        assert len(screen._assets) == 3
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not screen)
        await pilot.press("ctrl+a", "home")
        screen = await compared(pilot, until, "space", "down")
        assert [asset.name for asset in screen._assets] == ["a.safetensors", "c.safetensors"]


async def test_one_alone_is_not_compared(pair, app, until, text):
    async with (it := app(pair)).run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 3)
        await pilot.press("equals_sign")
        await until(pilot, lambda: "Mark two or three assets" in text(it))
        assert not isinstance(it.screen, CompareScreen)


async def test_a_file_that_is_gone_is_compared_as_far_as_it_is_known(pair, app, until, text):
    async with (it := app(pair)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 3)
        pair.page(list(it.screen.query_one(AssetList).ids))[1].path.unlink()
        await pilot.press("space", "space", "equals_sign")
        await until(pilot, lambda: isinstance(it.screen, CompareScreen) and "not read" in text(it))
        assert "IDENTITY" in text(it)
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(it.screen, ReportDialog) and "a.safetensors: –" in text(it))
        assert any("does not exist" in line for line in it.screen._lines)
