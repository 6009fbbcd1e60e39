"""The merge lab with real models: preview of the unwritten merge, save, recipe, errors, cancelling."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from merge_lab_steps import idle, lab
from textual.widgets import Input, Select

from modelhub.catalog.store import Catalog
from modelhub.errors import IncompatibleError
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.organize import words
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.stove import Stove
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.widgets.slider import Slider

SIZE = (120, 40)
BASE, PASTEL = "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors"


async def rendered(pilot, until, screen):
    await pilot.press("f5")
    await until(pilot, lambda: idle(screen), 120)
    return {letter: screen.pictures.frame(letter) for letter in ("A", "merge", "B")}


async def test_preview_save_and_recipe_from_end_to_end(tiny, models, app, until, far, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        assert "(1 − α)·A + α·B" in text(it)
        screen.query_one(Slider).focus()
        await pilot.press(*"1", "enter")
        screen.query_one("#size", Input).value = "64x64"
        frames = await rendered(pilot, until, screen)
        assert all(frame.pixels.shape == (64, 64, 3) for frame in frames.values())
        assert not any(frame.note for frame in frames.values())
        assert np.array_equal(frames["merge"].pixels, frames["B"].pixels), "at 1 the merge is B's denoiser in A"
        assert not np.array_equal(frames["merge"].pixels, frames["A"].pixels)
        assert text(it).count("▀") > 300

        screen.query_one(Slider).value = 0.0
        before = frames["A"].pixels
        frames = await rendered(pilot, until, screen)
        assert frames["A"].pixels is before, "an unchanged parent is not rendered again"
        assert np.array_equal(frames["merge"].pixels, before)

        screen.query_one(Slider).value = 0.25
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        goal = models / "tiny-shapes-base-tiny-shapes-pastel-unet-weighted-sum-0.25.safetensors"
        assert it.screen.query_one(Input).value == str(goal)
        await pilot.press("enter")
        await until(pilot, lambda: goal.exists() and idle(screen), 120)
        with Catalog.open(tiny.folder) as catalog:
            made = catalog.named(goal.name)[0]
        assert made.kind == "checkpoint"
        assert not made.sha256, "that would take a pass of its own; a scan makes it"
        assert parse_recipe(made.recipe).steps[0].parameters == {"alpha": 0.25}

        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        assert it.screen.query_one(Input).value == str(goal.with_stem(f"{goal.stem}-2")), "a name that is free"
        it.screen.query_one(Input).value = str(goal)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "exists already" in it.screen.error.message
        await pilot.press("escape", "ctrl+t")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = str(models / "a.toml")
        await pilot.press("enter")
        await until(pilot, lambda: (models / "a.toml").exists() and idle(screen))
        recipe = parse_recipe((models / "a.toml").read_text())
        assert recipe == kitchen.merge_recipe(screen._models(), "weighted-sum", {"alpha": 0.25})

        await until(pilot, lambda: it.screen is screen)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 5)


async def test_a_model_is_chosen_in_the_lab(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert it.screen.error.message == "Weighted sum takes 2 models, and 1 is chosen."
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        screen._slot("B").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and it.screen.query_one(AssetList).count == 3)
        assert "framed-lora" not in text(it)
        await pilot.press(*"pastel")
        await until(pilot, lambda: it.screen.query_one(AssetList).count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is screen)
        assert screen._slot("B").asset.name == PASTEL
        await pilot.press("f6")
        assert screen._slot("A").asset.name == PASTEL
        assert screen._slot("B").asset.name == BASE


async def test_a_method_of_three_has_three_slots_and_its_own_slider(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        screen.query_one("#method", Select).value = "add-difference"
        await until(pilot, lambda: "A + α·(B − C)" in text(it))
        await until(pilot, lambda: screen._slot("C").display and len(screen.query(Slider)) == 1)
        assert screen.query_one(Slider).high == 2
        titles = [frame.border_title for frame in screen.query_one("#frames").children if frame.display]
        assert [title.split()[0] for title in titles] == ["A", "B", "C", "merge"]


async def test_what_cannot_be_rendered_says_so_in_its_frame(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, PASTEL, BASE)
        with tiny.open() as catalog:  # the only file with the parts that the other one lacks
            base = catalog.named(BASE)[0].path
        data = base.read_bytes()
        base.write_bytes(data[:1000])
        frames = await rendered(pilot, until, screen)
        assert frames["A"].pixels is None
        assert frames["A"].note
        assert not isinstance(it.screen, ErrorDialog)
        base.write_bytes(data)
        frames = await rendered(pilot, until, screen)
        assert frames["A"].pixels is not None
        assert frames["B"].pixels is not None


async def test_escape_stops_a_preview_and_the_next_one_works(tiny, app, until, monkeypatch):
    let, stopped = threading.Event(), []
    real = Stove.cook

    def slow(stove, library, parts, request, device, job):
        if let.is_set():
            yield from real(stove, library, parts, request, device, job)
            return
        try:
            with job.part("merge").phase("sampling", 100, "steps") as advance:
                for _ in range(1000):
                    let.wait(0.01)
                    advance(picture=np.full((4, 4, 3), 77, np.uint8))
        finally:
            stopped.append(job.cancelled)
        raise AssertionError

    monkeypatch.setattr(Stove, "cook", slow)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f5")
        await until(pilot, lambda: screen.pictures.frame("merge").pixels is not None)
        assert screen.pictures.frame("merge").pixels.max() == 77, "the picture that the job sent on its way"
        await pilot.press("escape")
        await until(pilot, lambda: stopped == [True])
        assert idle(screen)
        assert it.screen is screen
        assert screen.pictures.frame("A").status == "stopped"
        let.set()
        frames = await rendered(pilot, until, screen)
        assert all(frame.pixels.shape == (64, 64, 3) for frame in frames.values())


async def test_numbers_that_cannot_be_are_explained(tiny, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        for name, value, says in (("size", "70x64", "70"), ("steps", "9999", "9999"), ("seed", "x", "seed is 'x'")):
            field = screen.query_one(f"#{name}", Input)
            field.value = value
            await pilot.press("f5")
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert says in it.screen.error.message
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen)
            field.value = ""


async def test_a_merge_that_fails_leaves_the_lab_usable(tiny, app, until, monkeypatch):
    def refuse(*_, **__):
        raise IncompatibleError("These do not fit.", "Take others.")

    monkeypatch.setattr(kitchen, "save", refuse)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is screen and idle(screen))


async def test_merging_needs_a_checkpoint(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 12)
        it.screen.finder.bar.put("kind:vae")
        await until(pilot, lambda: assets.count == 2)
        await pilot.press("m")
        await until(pilot, lambda: "Mark one or more checkpoints first" in text(it))
        assert isinstance(it.screen, BrowseScreen)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_lab_fits_every_terminal(tiny, app, until, text, size):
    async with (it := app(tiny)).run_test(size=size) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.pause()
        seen = text(it)
        assert all(len(line) == size[0] for line in seen.splitlines())
        for word in (
            "Weighted sum",
            "alpha",
            "prompt",
            "steps",
            "seed",
            "size",
            "Preview",
            "Save…",
            "Recipe…",
            "(1 − α)·A + α·B",
        ):
            assert word in seen, word
        assert all(child.region.right <= size[0] for child in screen.query("*"))


async def test_the_cfg_of_the_form_goes_into_the_request(tiny, app, until, text):
    async with app(tiny).run_test(size=(80, 24)) as pilot:
        screen = await lab(pilot, until, BASE)
        assert screen._request().cfg == 7
        assert "Recipe…" in text(pilot.app)
        for typed, cfg in (("3.5", 3.5), ("4,5", 4.5), ("", 7)):
            screen.query_one("#cfg", Input).value = typed
            assert screen._request().cfg == cfg
        for typed, says in (("much", "The CFG scale is 'much'."), ("nan", "CFG scale of nan")):
            screen.query_one("#cfg", Input).value = typed
            await pilot.press("f5")
            await until(pilot, lambda: isinstance(pilot.app.screen, ErrorDialog))
            assert says in pilot.app.screen.error.message
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen)


async def test_the_lab_says_what_it_left_out(tiny, app, until, text):
    with tiny.open() as catalog:
        other = catalog.find("kind:lora")[0]
        words.override(catalog, [other.id], {"kind": "embedding"})
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, other.name)
        assert screen._slot("B").asset is None
        await until(pilot, lambda: "1 marked asset left out" in text(it))


async def test_a_reason_in_place_of_a_picture_is_read_whole(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(80, 24)) as pilot:
        frame = (await lab(pilot, until, BASE)).pictures.frame("merge")
        frame.note = "word " * 60 + "Nextstep."
        await pilot.press("x")
        await until(pilot, lambda: "Nextstep." in text(it))
        frame.show(np.zeros((64, 64, 3), dtype=np.uint8))
        await until(pilot, lambda: "▀" in text(it) and "Nextstep." not in text(it))


async def test_a_long_goal_shows_its_end(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(80, 24)) as pilot:
        await lab(pilot, until, BASE, PASTEL)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "weighted-sum-0.5.safetensors" in text(it))
        goal = Path(it.screen.query_one(Input).value)
        goal.write_bytes(b"mine")
        await pilot.press("escape", "ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await until(pilot, lambda: it.screen.query_one(Input).value == str(goal.with_stem(f"{goal.stem}-2")))


async def test_what_headers_refuse_is_told_before_anything_is_hashed(tiny, models, app, until, monkeypatch):
    def hashes(*_):
        raise AssertionError("nothing is read for what cannot be")

    monkeypatch.setattr("modelhub.catalog.opener.make_sha256", hashes)
    (models / "taken.safetensors").write_bytes(b"mine")
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        for name, says in (("taken.safetensors", "exists already"), (BASE, "is one of the models")):
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(it.screen, AskDialog))
            it.screen.query_one(Input).value = str(models / name)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert says in it.screen.error.message
            assert "--force" not in it.screen.error.hint, "the lab has no options"
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen and idle(screen))
    assert (models / "taken.safetensors").read_bytes() == b"mine"


async def test_a_finished_preview_does_not_hide_a_merge_that_is_written(tiny, app, until, monkeypatch):
    let, stopped = threading.Event(), []

    def slow(*_, job):
        try:
            while not let.wait(0.01):
                job.check()
        finally:
            stopped.append(job.cancelled)

    def failing(*_):
        raise IncompatibleError("No picture.", "None.")

    monkeypatch.setattr(kitchen, "save", slow)
    monkeypatch.setattr(Stove, "_shot", failing)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: it.screen is screen)
        await pilot.press("f5")
        await until(pilot, lambda: "No picture" in screen.pictures.frame("B").note)
        await pilot.pause(0.1)
        assert not idle(screen), "the merge is still being written"
        await pilot.press("escape")
        await until(pilot, lambda: stopped == [True])
        assert it.screen is screen
        assert idle(screen)
        let.set()


async def test_the_help_of_the_lab_tells_the_keys_of_its_fields(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await lab(pilot, until, BASE, PASTEL)
        await pilot.press("question_mark")
        await until(
            pilot,
            lambda: "Empty a slot, or take a LoRA out." in text(it) and "Write the recipe of the merge" in text(it),
        )
