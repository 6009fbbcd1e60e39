"""The detail pane in use: a cursor on its facts, which are copied or followed, and kin that comes by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.formats.hashes import Hashes
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.detail import kin
from modelhub.tui.detail.pane import Detail, DetailBody
from modelhub.tui.library import Library

SIZE = (120, 40)
RECIPE = """
[models]
A = {{ ref = "one.safetensors", sha256 = "{one}" }}
B = {{ ref = "gone[b].safetensors", sha256 = "{two}" }}
[[steps]]
method = "weighted-sum"
inputs = ["A", "B"]
alpha = 0.3
"""


@pytest.fixture
def family(home, make_file, tmp_path):
    """A parent, a merge of it and of a file that is gone, and a copy of the parent."""
    folder = tmp_path / "family"
    one, two = "1a" * 32, "2b" * 32
    tensors = {"a.weight": np.zeros((2, 2), "float16")}
    make_file(folder / "one.safetensors", tensors, {"ss_tag": "x"})
    make_file(folder / "merge.safetensors", tensors, {"modelhub.recipe": RECIPE.format(one=one, two=two)})
    make_file(folder / "two-copy.safetensors", tensors, {"other": "x"})
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
        for name in ("one", "two-copy"):
            catalog.set_hashes(catalog.named(name)[0].id, Hashes(sha256=one))
    return Library(home)


async def opened(pilot, until, name):
    screen = pilot.app.screen
    assets = screen.query_one(AssetList)
    await until(pilot, lambda: assets.count)
    row = next(n for n, number in enumerate(assets.ids) if screen.library.page([number])[0].path.stem == name)
    assets.cursor = row
    pane = screen.query_one(Detail)
    await until(pilot, lambda: has_kin(screen))
    return pane


def has_kin(screen):
    """The kin of the asset under the cursor is there, all of it."""
    kin, current = screen.query_one(Detail).body.kin, screen.query_one(AssetList).current
    return kin and current and kin.number == current.id and not (kin.fits and kin.fits.is_looking)


def lit(pane):
    return pane.fact_under_cursor()


async def go_to(pilot, pane, says):
    for _ in range(80):
        if lit(pane) is not None and says in lit(pane).text:
            return
        await pilot.press("down")
    raise AssertionError(f"there is no fact with {says!r}")


async def test_kin_comes_when_the_cursor_has_rested(family, app, until, text):
    async with (it := app(family)).run_test(size=(120, 60)) as pilot:
        await opened(pilot, until, "one")
        seen = text(it)
        assert "WENT INTO" in seen and "merge.safetensors" in seen
        assert "THE SAME BYTES AGAIN" in seen and "two-copy.safetensors" in seen


async def test_a_parent_is_followed_and_left_again(family, app, until):
    async with (it := app(family)).run_test(size=SIZE) as pilot:
        pane = await opened(pilot, until, "merge")
        await pilot.press("enter")
        assert it.focused is pane and lit(pane).text == "merge.safetensors"
        await go_to(pilot, pane, "one.safetensors")
        await pilot.press("enter")
        await until(pilot, lambda: pane.asset.path.stem == "one")
        assert it.screen.query_one(AssetList).current.path.stem == "one" and it.focused is pane
        await pilot.press("backspace")
        await until(pilot, lambda: pane.asset.path.stem == "merge")
        await pilot.press("escape")
        assert it.focused is it.screen.query_one(AssetList)


async def test_following_leaves_a_filter_that_hides_the_goal(family, app, until):
    async with (it := app(family)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 3)
        it.screen.finder.bar.put("name:merge")
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 1)
        pane = await opened(pilot, until, "merge")
        await pilot.press("enter")
        await go_to(pilot, pane, "one.safetensors")
        await pilot.press("enter")
        await until(pilot, lambda: pane.asset.path.stem == "one")
        assert it.screen.finder.bar.text.startswith("id:")


async def test_a_fact_is_copied_by_key_and_by_click(family, app, until, text):
    async with (it := app(family)).run_test(size=SIZE, notifications=True) as pilot:
        pane = await opened(pilot, until, "one")
        await pilot.press("enter")
        await go_to(pilot, pane, "1a1a1a")
        await pilot.press("enter")
        assert it.clipboard == "1a" * 32
        await until(pilot, lambda: "Copied the sha256." in text(it))
        await pilot.press("home")
        row = next(n for n, owner in enumerate(pane.body.laid().owners) if owner == 1)
        await pilot.click(pane.body, offset=(3, row))
        assert it.clipboard == str(pane.asset.path) and it.focused is pane


async def test_a_parent_that_is_not_here_is_copied(family, app, until):
    async with (it := app(family)).run_test(size=SIZE) as pilot:
        pane = await opened(pilot, until, "merge")
        await pilot.press("enter")
        await go_to(pilot, pane, "gone[b].safetensors")
        await pilot.press("enter")
        assert it.clipboard == "gone[b].safetensors" and pane.asset.path.stem == "merge"


async def test_vim_keys_pages_and_ends(family, app, until):
    async with app(family).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.query_one(AssetList).count)
        await pilot.press("enter")
        pane = pilot.app.screen.query_one(Detail)
        await until(pilot, lambda: has_kin(pilot.app.screen))
        assert pane.body.cursor == 0
        await pilot.press("j", "j", "k")
        assert pane.body.cursor == 1
        await pilot.press("G")
        assert pane.body.cursor == len(pane.body.laid().facts) - 1
        await until(pilot, lambda: pane.scroll_offset.y == pane.max_scroll_y)
        await pilot.press("g")
        await until(pilot, lambda: pane.scroll_offset.y == 0 and pane.body.cursor == 0)
        await pilot.press("pagedown")
        await until(pilot, lambda: pane.scroll_offset.y > 0 and pane.body.cursor > 0)


async def test_a_long_description_can_be_read_to_its_end(home, tmp_path, app, until, text):
    path = tmp_path / "x.safetensors"
    words = " ".join(f"[b]word{n}[/b]" for n in range(260))
    with Catalog.open(home) as catalog:
        catalog.record(
            path, FileStat(1, 1, 5, 0), Identity(kind="vae"), "1", sidecar=json.dumps({"description": words})
        )
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count)
        await pilot.press("enter")
        for _ in range(150):
            await pilot.press("down")
            if "[b]word259[/b]" in text(it):
                break
        assert "[b]word259[/b]" in text(it)


async def test_kin_is_remembered_until_something_is_written(family, app, until, monkeypatch):
    asked = []
    find = kin.kin_of
    monkeypatch.setattr(
        kin, "kin_of", lambda catalog, asset, job: (asked.append(asset.id), *find(catalog, asset, job))[1:]
    )
    async with (it := app(family)).run_test(size=SIZE) as pilot:
        pane = await opened(pilot, until, "one")
        assets = it.screen.query_one(AssetList)
        await pilot.press("down")
        await until(pilot, lambda: pane.asset.path.stem != "one" and has_kin(it.screen))
        before = len(asked)
        await pilot.press("up")
        await until(pilot, lambda: assets.current.path.stem == "one" and has_kin(it.screen))
        assert len(asked) == before
        await pilot.press("4")
        await until(pilot, lambda: len(asked) > before)


async def test_what_fits_stands_in_the_pane(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(120, 60)) as pilot:
        await opened(pilot, until, "tiny-shapes-base")
        await until(pilot, lambda: "LORAS THAT FIT" in text(it))
        await until(pilot, lambda: "✓ tiny-shapes-framed-lora" in text(it))
        await opened(pilot, until, "tiny-shapes-framed-lora")
        await until(pilot, lambda: "MODELS IT FITS" in text(it) and "✓ tiny-shapes-base" in text(it))
        assert "f shows all" in text(it)


async def test_hostile_relatives_are_shown_and_not_obeyed(home, app, until, text):
    name = "[red]x\x1b[31m.safetensors"
    recipe = RECIPE.format(one="3c" * 32, two="4d" * 32).replace("gone[b].safetensors", name.replace("\x1b", "\\u001b"))
    with Catalog.open(home) as catalog:
        catalog.record(Path("/m/child.safetensors"), FileStat(1, 1, 5, 0), Identity(kind="vae"), "1", recipe=recipe)
    async with (it := app(Library(home))).run_test(size=(120, 60)) as pilot:
        await opened(pilot, until, "child")
        assert "[red]x\\x1b[31m.safetensors" in text(it)


async def test_another_asset_is_drawn_once_and_moves_nothing_else(few, app, until, text, monkeypatch):
    monkeypatch.setattr(Detail, "_look", lambda *_: None)
    async with (it := app(few)).run_test(size=(120, 60)) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 12)
        assets.cursor = 3
        await until(pilot, lambda: it.screen.pane.asset and it.screen.pane.asset.id == 4)
        await until(pilot, lambda: all(one.is_finished for one in it.workers))
        drawn, layouts = [], []
        draw = DetailBody.render_line
        monkeypatch.setattr(DetailBody, "render_line", lambda self, y: drawn.append(y) or draw(self, y))
        it.screen.screen_layout_refresh_signal.subscribe(it.screen, layouts.append, immediate=True)
        assets.cursor = 8
        await until(pilot, lambda: text(it).count("model-00009") > 1)
        assert drawn.count(0) == 1 and not layouts, "it is of the same kind, and has as many lines"
        assets.cursor = 4
        await until(pilot, lambda: text(it).count("model-00005") > 1)
        assert drawn.count(0) == 2 and len(layouts) == 1
