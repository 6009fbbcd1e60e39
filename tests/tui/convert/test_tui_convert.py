"""The convert place: files from everywhere, the report before, the writing, the trash and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from time import sleep, time

import pytest
import torch
from safetensors.torch import load_file, save_file
from textual.widgets import Checkbox, Input, Select

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.convert.asking import TASKS
from modelhub.convert.converting import Options
from modelhub.convert.prune.pruning import Pruning
from modelhub.errors import FileError
from modelhub.scan.run import scan
from modelhub.tui.app import ModelhubApp
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.convert import batch as converting
from modelhub.tui.convert.form import ConvertForm
from modelhub.tui.convert.screen import ConvertScreen
from modelhub.tui.jobs.record import State
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, ConfirmDialog, ErrorDialog

SIZE = (160, 50)
BASE = "tiny-shapes-base.safetensors"
HOSTILE = "a\x1b[31m[red]x[b]\u202e.ckpt"


class Runs:
    """What a hostile pickle holds."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good pickle, one with EMA weights, one that would run code, one that is a web page, one that is damaged."""
    folder = tmp_path / "files"
    folder.mkdir()
    base = load_file(data_path("demo") / BASE)
    torch.save({"state_dict": base}, folder / "good.ckpt")
    prefix = "model.diffusion_model"
    ema = {
        f"model_ema.{name[6:].replace('.', '')}": one.clone() for name, one in base.items() if name.startswith(prefix)
    }
    save_file(base | ema, folder / "ema.safetensors")
    torch.save({"state_dict": {"a": torch.zeros(4)}, "x": Runs(tmp_path / "OWNED")}, folder / "evil.ckpt")
    (folder / "page.ckpt").write_text("<!DOCTYPE html><html>login</html>")
    broken = {name: one.clone() for name, one in base.items()}
    broken[f"{prefix}.out.2.weight"].view(-1)[:7] = float("nan")
    save_file(broken, folder / "damaged.safetensors")
    return folder


@pytest.fixture
def shelf(folder: Path, home: Path) -> Library:
    """All of them, scanned."""
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
    return Library(home)


async def opened(pilot, until):
    pilot.app.go("convert")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConvertScreen))
    return pilot.app.screen


async def settled(pilot, until, screen, count):
    """All files were looked at."""
    await until(pilot, lambda: len(screen.entries) == count and all(one.item for one in screen.entries))
    await until(pilot, lambda: not screen._looks)


async def add(pilot, until, text):
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
    pilot.app.screen.query_one(Input).value = str(text)
    await pilot.press("enter")


async def write(pilot, until):
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
    await pilot.press("enter")


def status(screen):
    return {entry.path.name: entry.item.status for entry in screen.entries if entry.item}


def choose(screen, name, value):
    screen.query_one(f"#{name}", Select).value = value


async def test_an_empty_place_says_what_to_do(shelf, app, until, text):
    async with (it := app(shelf)).run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, until)
        await until(pilot, lambda: "names a file or a folder" in text(it))
        for key in ("x", "X", "u", "R", "enter", "o", "escape", "ctrl+s"):
            await pilot.press(key)
        await until(pilot, lambda: "Add files first" in text(it))
        assert it.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "browse")


async def test_all_pickles_are_reported_on_and_none_is_run(shelf, folder, app, until, text, tmp_path):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await pilot.press("P")
        await settled(pilot, until, screen, 2)
        assert status(screen) == {"evil.ckpt": "failed", "good.ckpt": "planned"}
        await until(pilot, lambda: "dangerous: refused" in text(it) and "would run code of its own" in text(it))
        seen = text(it)
        assert "getattr" in seen and "at byte" in seen and "salvage ticked" in seen
        assert "--salvage" not in seen and "1 to be written" in seen and "free" in seen
        await pilot.press("down")
        await until(pilot, lambda: "good.safetensors" in text(it) and "denoiser (sd1)" in text(it))
        assert "could go to the trash" in text(it)
        assert not (tmp_path / "OWNED").exists()


async def test_files_are_written_and_the_result_is_told(shelf, folder, app, until, far, text):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await pilot.press("P")
        await settled(pilot, until, screen, 2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await until(pilot, lambda: "1 file of the list left out" in text(it))
        assert "good.safetensors: 23.9 MB → 23.8 MB" in text(it) and "The originals stay" in text(it)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        assert not (folder / "good.safetensors").exists() and not it.jobs.records
        await write(pilot, until)
        await until(pilot, lambda: status(screen).get("good.ckpt") == "converted" and not it.jobs.open)
        await pilot.press("G")
        await until(pilot, lambda: "read back and equal" in text(it) and "kept as it was" in text(it))
        (record,) = it.jobs.records
        assert (record.state, record.place, record.lane) == (State.DONE, "convert", "writing")
        assert record.says.startswith("1 file written. 23.9 MB → 23.8 MB")
        assert any("good.ckpt: written as good.safetensors" in line.text for line in record.log)
    made, base = load_file(folder / "good.safetensors"), load_file(data_path("demo") / BASE)
    assert made.keys() == base.keys() and all(torch.equal(made[name], base[name]) for name in base)
    with shelf.open() as catalog:
        assert catalog.by_path(folder / "good.safetensors") is not None
    assert (folder / "good.ckpt").exists()


async def test_originals_go_to_the_trash_only_if_ticked_and_come_back(shelf, folder, app, until, far, text):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await pilot.press("u")
        await add(pilot, until, folder / "good.ckpt")
        await settled(pilot, until, screen, 1)
        screen.query_one("#trash", Checkbox).value = True
        await until(pilot, lambda: screen._wish is not None and screen._wish.trash)
        await settled(pilot, until, screen, 1)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1 original (23.9 MB) to the trash" in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: not (folder / "good.ckpt").exists() and not it.jobs.open)
        await until(pilot, lambda: "in the trash; u brings it back" in text(it))
        await pilot.press("u")
        await until(pilot, lambda: (folder / "good.ckpt").exists() and not it.jobs.open)
        await until(pilot, lambda: "kept as it was" in text(it))
        assert (folder / "good.safetensors").exists()
        await pilot.press("R")
        await settled(pilot, until, screen, 1)
        assert status(screen) == {"good.ckpt": "already"}
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "compared with the originals" in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: not (folder / "good.ckpt").exists() and not it.jobs.open)
        assert it.jobs.records[-1].state is State.DONE


async def test_pruning_leaves_ema_weights_out(shelf, folder, app, until, text):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "ema.safetensors")
        await settled(pilot, until, screen, 1)
        assert status(screen) == {"ema.safetensors": "idle"}
        choose(screen, "task", "prune")
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "planned"})
        await until(pilot, lambda: "leaves out 8.61 MB" in text(it) and "a copy for training" in text(it))
        choose(screen, "prune-ema", "keep")
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "idle"})
        choose(screen, "prune-ema", "drop")
        screen.query_one("#prune-only", Input).value = "no such part"
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "skipped"})
        assert "There is no component" in text(it)
        screen.query_one("#prune-only", Input).value = ",,"
        await until(pilot, lambda: "A component without a name" in text(it))
        screen.query_one("#prune-only", Input).value = ""
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "planned"} and not screen._looks)
        screen.files.focus()
        await write(pilot, until)
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "converted"} and not it.jobs.open)
    pruned = load_file(folder / "ema.pruned.safetensors")
    assert pruned.keys() == load_file(data_path("demo") / BASE).keys()


async def test_damage_is_reported_and_mended_from_a_donor(shelf, folder, app, until, text):
    shutil.copy(data_path("demo") / BASE, folder)
    with Catalog.open(shelf.folder) as catalog:
        scan(catalog, [folder])
        donor = catalog.by_path(folder / BASE)
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "damaged.safetensors")
        await settled(pilot, until, screen, 1)
        choose(screen, "task", "repair")
        await until(pilot, lambda: "7 NaN in 1 tensor" in text(it))
        assert status(screen) == {"damaged.safetensors": "idle"} and "none of it can be mended" in text(it)
        assert "--from" not in text(it)
        choose(screen, "repair-nan", "zero")
        await until(pilot, lambda: "mended: set to 0" in text(it) and not screen._looks)
        await pilot.click("#repair-donor")
        await until(pilot, lambda: isinstance(it.screen, PickDialog))
        await pilot.press("escape")
        screen.form.take_donor(donor)
        await until(pilot, lambda: "mended: taken from tiny-shapes-base" in text(it) and not screen._looks)
        screen.files.focus()
        await write(pilot, until)
        await until(pilot, lambda: status(screen) == {"damaged.safetensors": "converted"} and not it.jobs.open)
        await pilot.click("#repair-donor")
        await until(pilot, lambda: "mended: set to 0" in text(it))
    mended, base = load_file(folder / "damaged.repaired.safetensors"), load_file(folder / BASE)
    assert all(torch.equal(mended[name], base[name]) for name in base)


async def test_precision_folder_and_replacing(shelf, folder, app, until, text, tmp_path):
    goal = tmp_path / "results"
    goal.mkdir()
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "good.ckpt")
        screen.query_one("#to", Input).value = str(tmp_path / "nowhere")
        await until(pilot, lambda: "nowhere is not a folder." in text(it))
        await pilot.press("ctrl+s")
        assert it.screen is screen
        screen.query_one("#to", Input).value = str(goal)
        choose(screen, "convert-dtype", "fp32")
        await until(pilot, lambda: "(+63%)" in text(it) and "fp16 to fp32" in text(it))
        (goal / "good.safetensors").write_bytes(b"something else")
        await pilot.press("R")
        await until(pilot, lambda: status(screen) == {"good.ckpt": "skipped"})
        await until(pilot, lambda: "'replace files' would replace it" in text(it))
        screen.query_one("#force", Checkbox).value = True
        await until(pilot, lambda: status(screen) == {"good.ckpt": "planned"} and not screen._looks)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1 file of that name would be replaced." in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: status(screen) == {"good.ckpt": "converted"} and not it.jobs.open)
        screen.query_one("#convert-max_output", Input).value = "much"
        await until(pilot, lambda: "'much' is not a size" in text(it))
    made = load_file(goal / "good.safetensors")
    assert {one.dtype for name, one in made.items() if name.startswith("model.diffusion")} == {torch.float32}
    assert {one.dtype for name, one in made.items() if name.startswith("first_stage")} == {torch.float16}


async def test_a_dangerous_pickle_gives_its_tensors_when_salvaged(shelf, folder, app, until, tmp_path):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "evil.ckpt")
        await settled(pilot, until, screen, 1)
        screen.query_one("#convert-salvage", Checkbox).value = True
        await until(pilot, lambda: status(screen) == {"evil.ckpt": "planned"} and not screen._looks)
        screen.files.focus()
        await write(pilot, until)
        await until(pilot, lambda: status(screen) == {"evil.ckpt": "converted"} and not it.jobs.open)
    assert load_file(folder / "evil.safetensors").keys() == {"a"} and not (tmp_path / "OWNED").exists()


async def test_what_cannot_be_added_is_explained(shelf, folder, app, until, text):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        (folder / "empty").mkdir()
        for wrong, says in (
            (folder / "nothing.ckpt", "nothing.ckpt"), (folder / "empty", "no model files below"), ("[b]x\x1b", "[b]x"),
        ):  # fmt: skip
            await add(pilot, until, wrong)
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert says in it.screen.error.message
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen)
        await add(pilot, until, folder)
        await settled(pilot, until, screen, 5)
        await add(pilot, until, "good.ckpt")
        await until(pilot, lambda: screen.files.current.path.name == "good.ckpt")
        assert len(screen.entries) == 5
        assert status(screen)["page.ckpt"] == "failed"
        await pilot.press("x")
        await settled(pilot, until, screen, 4)
        assert "good.ckpt" not in status(screen)
        await pilot.press("X")
        await until(pilot, lambda: screen.entries == [])


async def test_hostile_names_are_shown_and_not_obeyed(folder, home, app, until, text):
    (folder / "good.ckpt").rename(folder / HOSTILE)
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
    async with (it := app(Library(home))).run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / HOSTILE)
        await settled(pilot, until, screen, 1)
        seen = text(it)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        seen += text(it)
        await pilot.press("enter")
        await until(pilot, lambda: status(screen) == {HOSTILE: "converted"} and not it.jobs.open)
        seen += text(it)
        assert "a\\x1b[31m[red]x[b]\\u202e.ckpt" in seen
        assert not {char for char in seen if not char.isprintable()} - {"\n"}


async def test_marked_assets_come_from_the_library(shelf, app, until):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 5)
        await pilot.press("space", "space", "P")
        await until(pilot, lambda: isinstance(it.screen, ConvertScreen))
        await settled(pilot, until, it.screen, 2)
        assert [entry.source.asset.id for entry in it.screen.entries] == assets.targets


async def test_the_place_is_as_it_was_after_a_restart(shelf, folder, app, until):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "ema.safetensors")
        await settled(pilot, until, screen, 1)
        choose(screen, "task", "prune")
        choose(screen, "prune-dtype", "bf16")
        screen.query_one("#trash", Checkbox).value = True
        await until(pilot, lambda: status(screen) == {"ema.safetensors": "planned"} and not screen._looks)
        it.leave()
    async with (it := ModelhubApp(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await settled(pilot, until, screen, 1)
        assert screen._wish is not None and screen._wish.options == Pruning(dtype="bf16") and not screen._wish.trash
        assert status(screen) == {"ema.safetensors": "planned"}


@pytest.mark.parametrize("kept", [{"task": 3, "to": [], "files": 7}, {"task": "x", "convert-dtype": "fp9", "files": [1, "", "\0", "/no"]},
                                  {"convert-salvage": "yes", "prune-drop": 4}])  # fmt: skip
async def test_what_was_remembered_may_be_anything(shelf, app, until, kept):
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        it.memory.put("convert", kept)
        screen = await opened(pilot, until)
        await pilot.pause(0.5)
        assert screen.entries == [] and screen.form.wish.options == Options()


async def test_stopping_keeps_what_was_written(shelf, folder, app, until, text, monkeypatch):
    def slow(*_, job, told):
        with job.phase("writing", 100) as advance:
            while True:
                advance(0)
                sleep(0.01)

    monkeypatch.setattr(converting, "carry_out", slow)
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "good.ckpt")
        await settled(pilot, until, screen, 1)
        await write(pilot, until)
        await until(pilot, lambda: screen.entries[0].runs and "at work" in text(it))
        await pilot.press("x", "ctrl+s")
        assert len(screen.entries) == 1 and it.screen is screen
        it.jobs.open[0].began = time() - 60
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: not it.jobs.open)
        await until(pilot, lambda: not screen.entries[0].runs)
        assert it.here == "convert" and status(screen) == {"good.ckpt": "planned"}


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
async def test_it_fits_every_terminal(shelf, app, until, text, size):
    async with (it := app(shelf)).run_test(size=size) as pilot:
        screen = await opened(pilot, until)
        await pilot.press("P")
        await settled(pilot, until, screen, 2)
        assert "evil.ckpt" in text(it) and not isinstance(it.screen, ErrorDialog)
        for task in TASKS:
            choose(screen, "task", task)
            await pilot.pause()
        await pilot.press("f")
        assert isinstance(it.focused, Select)


async def test_nothing_is_written_by_a_report_on_other_options(shelf, folder, app, until, text):
    async with (it := app(shelf)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, until)
        await add(pilot, until, folder / "good.ckpt")
        await settled(pilot, until, screen, 1)
        screen.form.post_message(ConvertForm.Changed())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "still being looked at" in text(it))
        assert it.screen is screen
        await settled(pilot, until, screen, 1)


async def test_originals_that_could_not_be_brought_back_can_be_once_more(shelf, app, until, monkeypatch):
    asked = []

    def fails(library, entries, job):
        asked.append(entries)
        raise FileError("The disk is full.", "Make room.")

    monkeypatch.setattr(converting, "bring_back", fails)
    async with (it := app(shelf)).run_test(size=SIZE) as pilot:
        screen = await opened(pilot, until)
        screen._trashed = [7]
        for count in (1, 2):
            await pilot.press("u")
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert asked == [[7]] * count
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen)
