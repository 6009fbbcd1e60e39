"""LoRAs in the merge lab: rows with strengths, previews of unwritten bakes and merges, recipes that hold them."""

from __future__ import annotations

import numpy as np
from merge_lab_steps import idle, lab
from safetensors.numpy import load_file, save_file
from textual.widgets import Input, Select

from modelhub.catalog.store import Catalog
from modelhub.demo.style import LEAST_FRAME, frame_score
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.lab.lora_rows import AddLora, LoraRows, Strength
from modelhub.tui.lab.merge_form import MERGED, OTHER
from modelhub.tui.lab.screen import MergeLab
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.widgets.slider import Slider

SIZE = (120, 40)
BASE, PASTEL = "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors"
FRAMED = "tiny-shapes-framed-lora.safetensors"


def shown_frames(screen):
    return [frame.id for frame in screen.query_one("#frames").children if frame.display]


async def test_a_marked_lora_is_baked_into_the_one_model_that_is_marked(tiny, models, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, FRAMED)
        await until(pilot, lambda: screen.query(Strength) and shown_frames(screen) == ["frame-A", "frame-merge"])
        assert "tiny-shapes-framed-lora" in text(it) and "left out" not in text(it)
        for name, value in (("size", "64x64"), ("steps", "12"), ("cfg", "3.5")):
            screen.query_one(f"#{name}", Input).value = value
        screen.query_one("#prompt", Input).value = "a red circle on a blue background, framed"
        seen = {}
        for strength in (0.0, 1.0):
            screen.query_one(Strength).value = strength
            await pilot.press("f5")
            await until(pilot, lambda: idle(screen), 120)
            seen[strength] = screen.pictures.frame("merge").pixels
        assert np.array_equal(seen[0.0], screen.pictures.frame("A").pixels), "at 0 nothing is added"
        assert frame_score(seen[0.0]) < LEAST_FRAME < frame_score(seen[1.0])

        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        goal = models / "tiny-shapes-base-tiny-shapes-framed-lora-1.safetensors"
        assert it.screen.query_one(Input).value == str(goal)
        await pilot.press("enter")
        await until(pilot, lambda: goal.exists() and idle(screen), 120)
        with Catalog.open(tiny.folder) as catalog:
            made = catalog.named(goal.name)[0]
        recipe = parse_recipe(made.recipe)
        assert recipe.steps == () and [lora.weight for lora in recipe.loras] == [1.0]
        assert recipe.models[recipe.loras[0].model].ref == "tiny-shapes-framed-lora"


async def test_loras_are_added_moved_and_taken_out(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        screen.query_one(AddLora).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and it.screen.query_one(AssetList).count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.focused, Strength))
        assert screen.form.bakes
        await pilot.press("left", "left", "left", "left")
        assert screen.form.loras[0][1] == 0.4
        await pilot.press(*"-0.25", "enter")
        assert [(asset.name, value) for asset, value in screen.form.loras] == [(FRAMED, -0.25)]
        assert [lora.weight for lora in screen._recipe().loras] == [-0.25]
        await until(pilot, lambda: "-0.25" in text(it))
        await pilot.press("delete")
        await until(pilot, lambda: not screen.query(Strength) and isinstance(it.focused, AddLora))
        assert not screen.form.bakes
        await until(pilot, lambda: shown_frames(screen) == ["frame-A", "frame-merge", "frame-B"])


async def test_a_merge_takes_loras_too_and_its_recipe_opens_as_it_was(tiny, models, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL, FRAMED)
        await until(pilot, lambda: screen.query(Strength))
        screen.query_one("#parameters").query_one(Slider).value = 0.25
        screen.query_one(Strength).value = 0.7
        said = screen._recipe()
        assert len(said.steps) == 1 and said.steps[0].parameters == {"alpha": 0.25}
        assert [lora.weight for lora in said.loras] == [0.7]
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        goal = models / "both.toml"
        it.screen.query_one(Input).value = str(goal)
        await pilot.press("enter")
        await until(pilot, lambda: goal.exists() and idle(screen) and it.screen is screen)

        for name, wanted in (("both.toml", [0.7]), ("bake.toml", [0.5])):
            await screen.query_one(LoraRows).put([])
            if name == "bake.toml":
                table = said.dumps().partition("[[steps]]")[0].replace('B = "', 'Z = "')
                lines = [line for line in table.splitlines() if "pastel-unet" not in line or "name" in line]
                more = '[[loras]]\nmodel = "L1"\nweight = 0.5\n'
                (models / name).write_text("\n".join(lines) + "\n" + more)
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(it.screen, AskDialog))
            it.screen.query_one(Input).value = str(models / name)
            await pilot.press("enter")
            await until(
                pilot,
                lambda wanted=wanted: it.screen is screen and [v for _, v in screen.form.loras] == wanted,
            )
            assert screen.form.bakes == (name == "bake.toml")
            assert screen.asked()[1] == models / name, "untouched, it is the recipe as the file has it"
            screen.query_one(Strength).value = 0.9
            assert screen.asked()[1] is None
            assert [lora.weight for lora in screen.asked()[0].loras] == [0.9]


async def test_a_lora_that_is_called_like_a_setting_is_not_taken_for_it(tiny, models, app, until):
    (models / FRAMED).rename(models / "alpha.safetensors")
    with Catalog.open(tiny.folder) as catalog:
        scan(catalog, [models])
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL, "alpha.safetensors")
        await until(pilot, lambda: screen.query(Strength))
        screen.query_one(Strength).value = -1.0
        await pilot.pause()
        assert screen._recipe().steps[0].parameters == {"alpha": 0.5}
        assert screen.blocks.base == 0.5


async def test_without_a_second_model_what_a_merge_is_set_to_is_not_asked(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL, FRAMED)
        await until(pilot, lambda: screen.query(Strength) and "(1 − α)·A + α·B" in text(it))
        screen.query_one("#preset", Select).value = OTHER
        screen.query_one("#vae", Select).value = MERGED
        await until(pilot, lambda: screen.blocks.has_class("-shown"))
        screen._slot("B").focus()
        await pilot.press("delete")
        await until(pilot, lambda: screen.form.bakes and "LoRAs alone are added" in text(it))
        assert "alpha" not in text(it) and "blocks" not in text(it) and not screen.blocks.has_class("-shown")
        recipe = screen._recipe()
        assert recipe.steps == () and recipe.vae is None and set(recipe.models) == {"A", "L1"}
        screen.query_one(Strength).focus()
        await pilot.press("delete")
        await until(pilot, lambda: not screen.form.bakes and "(1 − α)·A + α·B" in text(it) and "alpha" in text(it))


async def test_loras_of_unknown_architecture_are_offered_too(tiny, models, app, until, text):
    strange = {name.replace("lora_unet_", "lora_unet_zz_"): value for name, value in load_file(models / FRAMED).items()}
    save_file(strange, models / "strange.safetensors")
    with Catalog.open(tiny.folder) as catalog:
        scan(catalog, [models])
        assert catalog.named("strange.safetensors")[0].architecture is None
        base = catalog.named(BASE)[0]
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await pilot.pause()
        await it.merge([base])
        await until(pilot, lambda: isinstance(it.screen, MergeLab) and it.screen.query(Slider))
        screen = it.screen
        screen.query_one(AddLora).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and it.screen.query_one(AssetList).count == 2)
        for name in ("strange.safetensors", FRAMED):
            (models / name).unlink()
        with Catalog.open(tiny.folder) as catalog:
            scan(catalog, [models])
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and "There is no LoRA" in text(it))


async def test_the_lab_with_loras_fits_a_small_terminal(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(80, 24)) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL, FRAMED)
        await until(pilot, lambda: "med-lora" in text(it) and "enter adds one" in text(it))
        for word in ("Weighted sum", "alpha", "prompt", "steps", "seed", "Preview", "Save…", "Recipe…"):
            assert word in text(it), word
        assert all(child.region.right <= 80 for child in screen.query("*"))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))
