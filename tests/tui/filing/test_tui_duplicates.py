"""Duplicates: found in a job, marked all but one, and moved to the trash; one of each group always stays."""

from __future__ import annotations

import shutil

import pytest

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.compare.screen import CompareScreen
from modelhub.tui.filing.duplicates import DupesScreen
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ConfirmDialog

SIZE = (120, 40)


@pytest.fixture
def twins(models, home):
    """The tiny models, two of them twice."""
    for number in (1, 2):
        shutil.copy(models / "tiny-shapes-framed-lora.safetensors", models / f"copy{number}.safetensors")
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home)


async def found(pilot, until):
    await until(pilot, lambda: pilot.app.screen.query_one(AssetList).count == 6)
    await pilot.press("T")
    await until(pilot, lambda: isinstance(pilot.app.screen, DupesScreen))
    screen = pilot.app.screen
    await until(pilot, lambda: screen.list.count)
    return screen


def names(screen):
    return [asset.name for asset in screen.list.marked]


async def test_all_but_one_go_to_the_trash_and_come_back(twins, models, app, until, text):
    before = sorted(path.name for path in models.iterdir())
    async with (it := app(twins)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await found(pilot, until)
        assert "3 files with the same bytes" in text(it)
        await pilot.press("x")
        await until(pilot, lambda: "Mark first" in text(it))
        await pilot.press("a")
        kept = next(twin.asset.name for twin in screen.list.twins if screen.list.is_kept(twin))
        copies = {"copy1.safetensors", "copy2.safetensors", "tiny-shapes-framed-lora.safetensors"}
        assert set(names(screen)) & copies == copies - {kept}
        await until(pilot, lambda: "to be freed" in text(it))
        marked = set(names(screen))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: screen.list.count == 0 and it.screen is screen)
        assert sorted(path.name for path in models.iterdir()) == sorted(set(before) - marked)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not screen)
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 6 - len(marked))
        await pilot.press("u")
        await until(pilot, lambda: sorted(path.name for path in models.iterdir()) == before)


async def test_one_of_a_group_always_stays(twins, app, until):
    async with app(twins).run_test(size=SIZE) as pilot:
        screen = await found(pilot, until)
        group = [twin for twin in screen.list.twins if twin.group == screen.list.current.group]
        screen.list.cursor = screen.list._rows.index(group[0])
        await pilot.press(*["space"] * len(group))
        assert len(screen.list.marks) == len(group) - 1
        last = group[-1]
        assert last.asset.id not in screen.list.marks and screen.list.is_kept(last), "what is left is what is kept"
        screen.list.cursor = screen.list._rows.index(group[0])
        await pilot.press("i")
        assert screen.list.is_kept(group[0]) and group[0].asset.id not in screen.list.marks
        assert {twin.asset.id for twin in group[1:]} <= screen.list.marks


async def test_from_a_file_to_the_library_and_to_a_comparison(twins, app, until):
    async with (it := app(twins)).run_test(size=SIZE) as pilot:
        screen = await found(pilot, until)
        await pilot.press("down", "equals_sign")
        await until(pilot, lambda: isinstance(it.screen, CompareScreen))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        wanted = screen.list.current.asset.id
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is not screen)
        await until(pilot, lambda: it.screen.query_one(AssetList).current.id == wanted)


async def test_only_what_the_filter_finds_is_looked_at(twins, app, until, text):
    async with (it := app(twins)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 6)
        it.screen.finder.bar.put("kind:checkpoint")
        await until(pilot, lambda: it.screen.query_one(AssetList).count < 6)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(it.screen, DupesScreen) and "no duplicates" in text(it))
        assert "among kind:checkpoint" in text(it)


async def test_escape_stops_the_search_and_then_leaves(twins, app, until, text, monkeypatch):
    from modelhub.tui.filing import duplicates

    def endless(catalog, assets, *, job):
        with job.phase("sampling") as advance:
            while True:
                advance()

    monkeypatch.setattr(duplicates, "dupes", endless)
    async with (it := app(twins)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 6)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(it.screen, DupesScreen) and "Looking" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: "Stopped." in text(it) and not it.jobs.open)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, DupesScreen))
