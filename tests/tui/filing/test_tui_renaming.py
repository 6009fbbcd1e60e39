"""Renaming and moving: the plan is seen first, then files go with their sidecars, and come back with one key."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from modelhub.catalog.store import Catalog
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.filing.goal_list import GoalList
from modelhub.tui.filing.moving import MoveDialog
from modelhub.tui.filing.plan_list import PlanList
from modelhub.tui.filing.renaming import RenameDialog

SIZE = (120, 40)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def opened(pilot, until, key, dialog):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == 4)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    return pilot.app.screen


def planned(dialog):
    return [new.name for _, new in dialog.query_one(PlanList).pairs]


@pytest.mark.parametrize("size", [SIZE, (80, 24)])
async def test_one_file_gets_a_name_with_its_sidecars(tiny, models, app, until, text, size):
    (models / "tiny-shapes-base.json").write_text("{}")
    before = files(models)
    async with (it := app(tiny)).run_test(size=size, notifications=True) as pilot:
        dialog = await opened(pilot, until, "r", RenameDialog)
        assert dialog.line.value == "tiny-shapes-base"
        await until(pilot, lambda: "their names already" in text(it))
        await pilot.press("enter")
        assert it.screen is dialog, "there is nothing to do yet"
        dialog.line.value = "mine"
        await until(pilot, lambda: planned(dialog) == ["mine.safetensors", "mine.json"])
        assert "1 asset, 2 files" in text(it)
        assert files(models) == before, "nothing happens before enter"
        await pilot.press("enter")
        await until(pilot, lambda: "mine.json" in files(models))
        assert "mine.safetensors" in files(models) and "tiny-shapes-base.safetensors" not in files(models)
        await until(pilot, lambda: it.screen.query_one(AssetList).current.name == "mine.safetensors")
        await pilot.press("u")
        await until(pilot, lambda: files(models) == before)


async def test_marked_files_are_renamed_by_a_pattern(tiny, models, app, until, text):
    before = files(models)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 4)
        await pilot.press("ctrl+a")
        dialog = await opened(pilot, until, "r", RenameDialog)
        await pilot.press(*"{architecture}_")
        assert dialog.line.value == "{architecture}_{stem}"
        await until(pilot, lambda: len(planned(dialog)) == 4)
        await pilot.press("enter")
        await until(pilot, lambda: all(name.startswith("sd1_") for name in files(models)))
        assert not it.screen.query_one(AssetList).marks
        await pilot.press("u")
        await until(pilot, lambda: files(models) == before)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "The name is empty"),
        ("{nothing}", "There is no word {nothing}"),
        ("{stem", "has no end"),
        ("tiny-shapes-framed-lora", "exists already"),
    ],
)
async def test_wrong_names_are_said_and_not_taken(tiny, models, app, until, text, typed, says):
    before = files(models)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "r", RenameDialog)
        dialog.line.value = typed
        await pilot.press("enter")
        await until(pilot, lambda: says in text(it))
        assert it.screen is dialog and not planned(dialog)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not dialog)
        assert files(models) == before


async def test_what_is_typed_quickly_and_taken_is_planned_first(tiny, models, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await opened(pilot, until, "r", RenameDialog)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "tiny-shapes-basex.safetensors" in files(models))
        assert not isinstance(it.screen, RenameDialog)


async def test_a_folder_is_chosen_completed_and_moved_to(tiny, models, app, until, text):
    with Catalog.open(tiny.folder) as catalog:
        catalog.add_root(models.parent / "else[where]")
    (models.parent / "else[where]").mkdir()
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "e", MoveDialog)
        goals = dialog.query_one(GoalList)
        await until(pilot, lambda: goals.count == 2)
        await pilot.press(*"else")
        await until(pilot, lambda: goals.count == 1 and "no whole path" in text(it))
        await pilot.press("tab")
        assert dialog.line.value == str(models.parent / "else[where]")
        await until(pilot, lambda: len(planned(dialog)) == 1)
        await pilot.press("enter")
        await until(pilot, lambda: files(models.parent / "else[where]") == ["tiny-shapes-base.safetensors"])
        await pilot.press("u")
        await until(pilot, lambda: "tiny-shapes-base.safetensors" in files(models))


async def test_a_folder_that_is_not_there_is_made(tiny, models, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "e", MoveDialog)
        dialog.line.value = str(models / "new" / "deep")
        await until(pilot, lambda: "the folder is made" in text(it))
        assert not (models / "new").exists()
        await pilot.press("enter")
        await until(pilot, lambda: "new/deep/tiny-shapes-base.safetensors" in files(models))


async def test_the_list_of_folders_is_gone_along(tiny, models, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "e", MoveDialog)
        await until(pilot, lambda: dialog.query_one(GoalList).count == 1)
        await pilot.press("down")
        assert dialog.query_one("#plan-line", Input).value == str(models)
        await until(pilot, lambda: dialog._planned is not None and "there already" in dialog._planned.says)
        await pilot.press("enter")
        assert it.screen is dialog


@pytest.mark.parametrize(
    ("typed", "says"), [("relative/x", "no whole path"), ("/x/y.safetensors", "the name of a file")]
)
async def test_wrong_folders_are_said(tiny, app, until, text, typed, says):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "e", MoveDialog)
        dialog.line.value = typed
        await until(pilot, lambda: says in text(it))
        assert not planned(dialog)


async def test_enter_waits_for_the_keys_before_it(tiny, models, app, until, at_once):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await opened(pilot, until, "r", RenameDialog)
        at_once(it, "x", "y", "backspace", "enter")
        await until(pilot, lambda: "tiny-shapes-basex.safetensors" in files(models))


async def test_tab_completes_what_was_typed_before_it(tiny, models, app, until, at_once):
    other = models.parent / "other"
    with Catalog.open(tiny.folder) as catalog:
        catalog.add_root(other)
        catalog.add_root(models.parent / "beside")
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        dialog = await opened(pilot, until, "e", MoveDialog)
        await until(pilot, lambda: dialog.query_one(GoalList).count == 3)
        at_once(it, *"oth", "tab")
        await until(pilot, lambda: dialog.line.value == str(other))
