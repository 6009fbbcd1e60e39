"""What the LoRA place makes: files that the catalog knows, and dialogs that say beforehand what would come of them."""

from __future__ import annotations

import pytest
from lora_place_steps import BASE, FRAMED, WIDE, done, named, place, save_wide
from safetensors import safe_open
from textual.widgets import Checkbox, Input, Select

from modelhub.catalog.store import Catalog
from modelhub.errors import FileExistsAlreadyError, UsageError
from modelhub.jobs import QUIET
from modelhub.lora.making.telling import made_rows
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.library import Library
from modelhub.tui.loras.files import Bake, Rename
from modelhub.tui.loras.make_dialog import MakeDialog
from modelhub.tui.loras.making import rank_of
from modelhub.tui.loras.new_ones import Combine, Extract, Resize
from modelhub.tui.screens.dialogs import ErrorDialog

SIZE = (120, 40)
PASTEL = "tiny-shapes-pastel-unet.safetensors"


def fields(making):
    return {field.name: field.value for field in making.fields}


def metadata(path):
    with safe_open(path, "np") as file:
        return file.metadata()


@pytest.fixture
def assets(tiny):
    return dict(zip(("base", "lora"), named(tiny, BASE, FRAMED), strict=True))


def test_a_bake_is_planned_made_and_catalogued(tiny, assets):
    making = Bake(tiny, assets["base"], [(assets["lora"], 0.8)])
    values = {**fields(making), "dtype": "bf16", "title": "mine"}
    assert values["file"].endswith("tiny-shapes-base-tiny-shapes-framed-lora-0.8.safetensors")
    assert "192 with LoRAs" in dict(making.plan(values, QUIET))["size"]
    assert "192 tensors changed" in making.make(values, QUIET)
    (made,) = named(tiny, "tiny-shapes-base-tiny-shapes-framed-lora-0.8.safetensors")
    assert made.kind == "checkpoint" and made.dtype == "bf16" and "mine" in made.recipe
    with pytest.raises(FileExistsAlreadyError) as caught:
        making.plan(values, QUIET)
    assert "--force" not in caught.value.hint
    with pytest.raises(FileExistsAlreadyError):
        making.make(values, QUIET)


def test_a_combination_of_loras(tiny, assets, tmp_path):
    lora = assets["lora"]
    making = Combine(tiny, [(lora, 0.5), (lora, 0.25)])
    values = {**fields(making), "file": str(tmp_path / "both")}
    rows = dict(making.plan(values, QUIET))
    assert rows["modules"] == "192" and rows["merged"] == "192 modules"
    assert "ranks 8 in 192" in making.make(values, QUIET)
    (made,) = named(tiny, "both.safetensors")
    assert made.kind == "lora" and rank_of(made) == 8
    assert "0.25" in metadata(made.path)["modelhub.loras"]
    small = {**values, "file": str(tmp_path / "small"), "rank": "2", "dtype": "F32"}
    assert "ranks 2 in 192" in making.make(small, QUIET)


def test_fewer_ranks(tiny, assets):
    making = Resize(tiny, assets["lora"])
    values = fields(making)
    assert values["rank"] == "2" and values["file"].endswith("framed-lora-rank2.safetensors")
    rows = dict(making.plan(values, QUIET))
    assert rows["ranks"] == "2 in 192" and rows["size"].endswith("at most")
    said = making.make(values, QUIET)
    assert "energy kept" in said and "ranks 2 in 192" in said
    (made,) = named(tiny, "tiny-shapes-framed-lora-rank2.safetensors")
    assert made.size < assets["lora"].size
    by_rule = {**values, "file": values["file"].replace("rank2", "most"), "rank": "", "rule": "energy", "share": "0.9"}
    assert "energy kept" in making.make(by_rule, QUIET)
    with pytest.raises(UsageError, match="how small"):
        making.plan({**values, "rank": ""}, QUIET)
    with pytest.raises(UsageError, match="Nothing of"):
        making.plan({**values, "rank": "64"}, QUIET)


def test_other_names_and_back(tiny, assets, tmp_path):
    making = Rename(tiny, assets["lora"], assets["base"])
    values = {**fields(making), "layers": "model", "file": str(tmp_path / "peft")}
    assert values["names"] == "peft"
    assert "192" in dict(making.plan(values, QUIET))["modules"]
    making.make(values, QUIET)
    (made,) = named(tiny, "peft.safetensors")
    assert made.adapter["dialect"] != "kohya"
    back = Rename(tiny, made, assets["base"])
    assert fields(back)["names"] == "kohya"
    back.make({**fields(back), "layers": "model", "file": str(tmp_path / "back")}, QUIET)
    assert named(tiny, "back.safetensors")[0].adapter["dialect"] == "kohya"


def test_a_difference_of_two_models(tiny, assets, tmp_path):
    (pastel,) = named(tiny, PASTEL)
    making = Extract(tiny, pastel, assets["base"])
    values = {**fields(making), "file": str(tmp_path / "pastel"), "rank": "4", "only": "unet"}
    assert fields(making)["rank"] == "32"
    assert dict(making.plan(values, QUIET))["components"].startswith("unet")
    assert "energy kept" in making.make(values, QUIET)
    (made,) = named(tiny, "pastel.safetensors")
    assert made.kind == "lora" and rank_of(made) == 4
    with pytest.raises(UsageError, match="from 0 on"):
        making.plan({**values, "least": "-1"}, QUIET)


def test_rows_of_what_was_made_are_those_of_the_command_line(tiny, assets, tmp_path):
    from modelhub.catalog.opener import Opener
    from modelhub.cli.lora_make_words import made_lines
    from modelhub.lora.making.ranks import Ranks
    from modelhub.lora.making.resize import resize
    from modelhub.lora.making.resizing import Wish, plan_resize

    with tiny.open() as catalog, Opener(catalog) as opener:
        plan = plan_resize(opener(str(assets["lora"].path)), Wish(Ranks(2)))
        report = resize(plan, tmp_path / "r.safetensors")
    lines = "\n".join(made_lines(report, 7))
    assert all(text in lines for _, text in made_rows(report))


async def test_a_bake_from_the_place(tiny, app, until, far, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, MakeDialog) and "192 with LoRAs" in text(it), 60)
        field = it.screen.query_one("#make-file", Input)
        goal = field.value
        field.value = str(screen.model.path)
        await until(pilot, lambda: "one of the files that it is made of" in text(it), 60)
        field.value = goal.replace(".safetensors", "-mine")
        it.screen.query_one("#make-dtype", Select).value = "fp16"
        await until(pilot, lambda: "192 with LoRAs" in text(it), 60)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: it.screen is screen and done(screen), 60)
        await until(pilot, lambda: "Saved and catalogued" in text(it), 60)
        assert named(tiny, goal.rpartition("/")[2].replace(".safetensors", "-mine.safetensors"))[0].kind == "checkpoint"


async def test_what_cannot_be_made_says_why(tiny, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE))
        for key, says in (("ctrl+s", "empty"), ("plus", "empty"), ("r", "empty"), ("n", "empty"), ("y", "empty")):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert says in it.screen.error.message
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen)
        screen.take([], named(tiny, FRAMED))
        await pilot.press("m", "ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog) and "muted" in it.screen.error.message)


async def test_the_tags_are_copied(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        await pilot.press(*"0.8", "enter", "y")
        assert it.clipboard == "<lora:tiny-shapes-framed-lora:0.8>"
        screen._edit(blocks="OUTD")
        await pilot.press("y")
        await until(pilot, lambda: "block weights" in text(it))


async def choose(pilot, until, asset, title):
    """Choose a model in the dialog with that title."""
    it = pilot.app
    shown = lambda: isinstance(it.screen, PickDialog) and title in str(it.screen.query_one(".dialog").border_title)  # noqa: E731
    await until(pilot, lambda: shown() and it.screen.query_one(AssetList).current)
    dialog = it.screen
    dialog.dismiss(asset)
    await until(pilot, lambda: it.screen is not dialog)


async def test_an_extraction_asks_for_two_models(tiny, app, until, far, text):
    async with (it := app(tiny)).run_test(size=(80, 24), notifications=True) as pilot:
        screen = await place(pilot, until)
        tuned, base = named(tiny, PASTEL, BASE)
        await pilot.press("d")
        await choose(pilot, until, tuned, "Tuned model")
        await choose(pilot, until, tuned, "was made from")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "differ from itself" in it.screen.error.message
        await pilot.press("escape", "d")
        await choose(pilot, until, tuned, "Tuned model")
        await choose(pilot, until, base, "was made from")
        await until(pilot, lambda: isinstance(it.screen, MakeDialog) and "at most" in text(it), 60)
        assert all(child.region.right <= 80 for child in it.screen.query("*"))
        await until(pilot, lambda: "escape leaves" in text(it))
        it.screen.query_one("#make-exact", Checkbox).value = True
        it.screen.query_one("#make-rank", Input).value = "3"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: done(screen) and it.screen is screen, 120)
        await until(pilot, lambda: "Saved and catalogued" in text(it), 60)


async def test_loras_of_other_sizes_are_refused_in_the_dialog(models, home, app, until, text):
    save_wide(models)
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    library = Library(home)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, MakeDialog) and "other sizes" in text(it), 60)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog), 60)
        assert "other sizes" in it.screen.error.message and done(screen)
