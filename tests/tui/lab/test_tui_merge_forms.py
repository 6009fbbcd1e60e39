"""The form of the merge lab: any number of models, every kind of parameter, block weights, components, recipes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Checkbox, Input, Select

from modelhub.catalog.weighing.weights import read_weight
from modelhub.errors import UsageError
from modelhub.merge.recipes.recipe import ModelRef, Recipe, Step, parse_recipe
from modelhub.merge.registry import methods
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.parameter import ParameterField
from modelhub.tui.lab.slot import Slot
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.status import StatusLine

SIZE = (120, 40)
BASE, PASTEL = "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors"


@pytest.fixture
def opened(tiny, app, until):
    """`async with opened() as (pilot, screen)`: the lab with two models."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def open(size=SIZE, names=(BASE, PASTEL)):
        async with app(tiny).run_test(size=size, notifications=True) as pilot:
            with tiny.open() as catalog:
                models = [catalog.named(name)[0] for name in names]
            await pilot.pause()
            await pilot.app.merge(models)
            screen = pilot.app.screen
            await until(pilot, lambda: screen.query(Slider))
            yield pilot, screen

    return open


async def choose(pilot, until, screen, method):
    screen.query_one("#method", Select).value = method
    wanted = {p.name: p.default for p in methods()[method].parameters}
    fields = (len(wanted), wanted)
    await until(
        pilot,
        lambda: (len(screen.query(Slider)) + len(screen.query(ParameterField)), screen.form.parameters()) == fields,
    )


async def put(pilot, until, screen, path):
    """Open a recipe file in the lab."""
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
    pilot.app.screen.query_one(Input).value = str(path)
    await pilot.press("enter")


async def test_every_method_has_its_fields(opened, until):
    async with opened() as (pilot, screen):
        for name, method in methods().items():
            await choose(pilot, until, screen, name)
            assert len(screen.letters) == max(method.least, 3 if method.many else 0)
            await until(pilot, lambda: [s.letter for s in screen.query(Slot) if s.display] == list(screen.letters))
            recipe = screen._recipe() if method.least == 2 else None
            assert recipe is None or recipe.steps[0].method == name


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("method", ["della", "ties", "extract", "slerp"])
async def test_every_form_fits(method, size, opened, until, text):
    async with opened(size) as (pilot, screen):
        await choose(pilot, until, screen, method)
        screen.query_one("#preset", Select).value = "GRAD_V"
        await until(pilot, lambda: "OUT00" in text(pilot.app))
        seen = text(pilot.app)
        assert all(len(line) == size[0] for line in seen.splitlines())
        assert all(child.region.right <= size[0] for child in screen.query("*"))
        for word in ("Preview", "Recipe…", "Open", methods()[method].title):
            assert word in seen, word


async def test_any_number_of_models(opened, until):
    async with opened(names=(BASE, PASTEL)) as (pilot, screen):
        await choose(pilot, until, screen, "average")
        assert screen.letters == "ABC"
        screen._slot("C").focus()
        await pilot.press("enter")
        await until(
            pilot,
            lambda: isinstance(pilot.app.screen, PickDialog) and pilot.app.screen.query_one(AssetList).count == 3,
        )
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.letters == "ABCD"
        assert len(screen._models()) == 3
        assert len(screen._recipe().steps[0].inputs) == 3
        screen._slot("B").focus()
        await pilot.press("delete")
        await until(pilot, lambda: screen._slot("B").asset is None)
        assert len(screen._models()) == 2, "a gap closes"


async def test_words_boxes_and_lists_go_into_the_recipe(opened, until):
    async with opened() as (pilot, screen):
        await choose(pilot, until, screen, "della")
        fields = {field.parameter.name: field for field in screen.query(ParameterField)}
        fields["combine"].query_one(Select).value = "sum"
        fields["weights"].query_one(Input).value = "2"
        fields["normalize"].query_one(Checkbox).value = True
        fields["seed"].query_one(Input).value = "42"
        await pilot.pause()
        said = screen._recipe().steps[0].parameters
        assert (said["combine"], said["weights"], said["normalize"], said["seed"]) == ("sum", (2.0,), True, 42)
        fields["seed"].query_one(Input).value = "many"
        with pytest.raises(UsageError, match="seed must be a whole number"):
            screen._recipe()
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(pilot.app.screen, ErrorDialog))


async def test_block_weights_and_components_are_saved(models, opened, until):
    async with opened() as (pilot, screen):
        screen.query_one(Slider).value = 0.3
        screen.query_one("#preset", Select).value = "GRAD_V"
        screen.query_one("#vae", Select).value = "merge"
        screen.query_one("#text", Select).value = "A"
        await until(pilot, lambda: screen.blocks.display)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
        assert pilot.app.screen.query_one(Input).value.endswith("-weighted-sum-blocks.toml")
        pilot.app.screen.query_one(Input).value = str(models / "b.toml")
        await pilot.press("enter")
        await until(pilot, lambda: (models / "b.toml").exists())
        recipe = parse_recipe((models / "b.toml").read_text())
        assert recipe.steps[0].parameters == {"alpha": read_weight("GRAD_V, 0.3")}
        assert (recipe.vae, recipe.take) == ("merge", {"text_encoder": "A"})


async def test_a_recipe_of_one_step_fills_the_form(models, opened, until):
    text = f"""
    [models]
    one = "{BASE}"
    two = "{PASTEL}"
    [[steps]]
    method = "slerp"
    inputs = ["two", "one"]
    alpha = {{ default = 0.2, IN04 = 0.9 }}
    [output]
    vae = "one"
    text_encoder = "one"
    """
    (models / "r.toml").write_text(text)
    async with opened() as (pilot, screen):
        await put(pilot, until, screen, models / "r.toml")
        await until(pilot, lambda: screen.form.method.name == "slerp" and screen.blocks.display)
        assert [asset.name for asset in screen._models()] == [PASTEL, BASE]
        assert screen.query_one(Slider).value == 0.2
        assert screen.blocks.bars.values["IN04"] == 0.9
        assert screen.blocks.bars.values["IN05"] == 0.2, "the others stand where the slider is"
        recipe = screen._recipe()
        assert recipe.steps[0].parameters == {"alpha": read_weight("0.2, IN04=0.9")}
        assert recipe == parse_recipe(text), "untouched, it is the recipe that was opened"
        screen.query_one(Slider).value = 0.25
        recipe = screen._recipe()
        assert recipe.steps[0].parameters == {"alpha": read_weight("0.25, IN04=0.9")}
        assert (recipe.vae, recipe.take) == ("B", {"text_encoder": "B"})


ODD = [
    ("tensor-sum", {"alpha": 1.75, "beta": -0.12345678901234}),
    ("weighted-sum", {"alpha": 0.30000000000000004}),
    ("weighted-sum", {"alpha": 12345678.9}),
    ("tensor-sum", {"alpha": 0.1, "beta": read_weight("0.25, IN04=0.9")}),
    ("average", {"weights": (0.1234567890123, 1e-9)}),
    ("dare", {"seed": 4294967295, "density": 0.123456789, "weights": (0.1234567890123,), "combine": "ties"}),
    ("weighted-sum", {"alpha": read_weight("GRAD_V, te1=0.1234567890123, IN03=7.5, *attn2*=0.3, vae=0.7")}),
]


@pytest.mark.parametrize(("method", "said"), ODD)
async def test_numbers_that_nobody_touched_stay_to_the_bit(method, said, models, opened, until):
    wanted = Recipe({"A": ModelRef(BASE), "B": ModelRef(PASTEL)}, (Step(method, ("A", "B"), said),), "odd")
    (models / "r.toml").write_text(wanted.dumps())
    async with opened() as (pilot, screen):
        await put(pilot, until, screen, models / "r.toml")
        await until(pilot, lambda: screen.form.method.name == method and screen._filled)
        await pilot.pause()
        for _ in range(15):
            screen.focus_next()
        await pilot.pause()
        assert screen._recipe() == parse_recipe(wanted.dumps())
        screen.query_one("#text", Select).value = "B"
        await pilot.pause()
        touched = screen._recipe()
        assert touched.take == {"text_encoder": "B"}
        shown = {p.name: p.default for p in methods()[method].parameters} | said
        assert touched.steps[0].parameters == shown | (
            {"alpha": replace(shown["alpha"], base=0.5)} if said.get("alpha") == ODD[-1][1]["alpha"] else {}
        )


async def test_blocks_are_what_the_select_says_after_another_method(opened, until):
    async with opened() as (pilot, screen):
        select = screen.query_one("#preset", Select)
        select.value = "GRAD_V"
        await until(pilot, lambda: screen.blocks.has_class("-shown"))
        await choose(pilot, until, screen, "average")
        await until(pilot, lambda: not screen.blocks.has_class("-shown"))
        await choose(pilot, until, screen, "slerp")
        await until(pilot, lambda: screen.blocks.has_class("-shown"))
        assert select.value == screen.blocks.choice == "GRAD_V"
        assert screen._recipe().steps[0].parameters["alpha"] == read_weight("GRAD_V, 0.5")
        screen._slot("A").asset = None
        screen.form.reshape()
        await until(pilot, lambda: not screen.blocks.has_class("-shown"))
        assert select.value == screen.blocks.choice == ""
        assert not screen.query_one("#blocks-field").display


async def test_each_block_leads_to_the_bars(opened, until):
    async with opened() as (pilot, screen):
        screen.query_one("#preset", Select).focus()
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: screen.focused is screen.blocks.bars)
        await pilot.press("right", *"0.9", "enter")
        assert screen._recipe().steps[0].parameters == {"alpha": read_weight("0.5, IN00=0.9")}


async def test_a_recipe_of_steps_is_shown_previewed_and_left(models, opened, until, text):
    recipe = f"""
    name = "two steps"
    [models]
    A = "{BASE}"
    B = "{PASTEL}"
    [[steps]]
    name = "half"
    method = "weighted-sum"
    inputs = ["A", "B"]
    [[steps]]
    method = "add-difference"
    inputs = ["half", "B", "A"]
    alpha = 0.25
    """
    (models / "r.toml").write_text(recipe)
    async with opened() as (pilot, screen):
        await put(pilot, until, screen, models / "r.toml")
        await until(pilot, lambda: "two steps" in text(pilot.app))
        assert "half = weighted-sum tiny-shapes-base tiny-shapes-pastel-unet  alpha 0.5" in text(pilot.app)
        assert "result = add-difference half" in text(pilot.app)
        screen.query_one("#size", Input).value = "64x64"
        await pilot.press("f5")
        await until(pilot, lambda: screen.pictures.frame("merge").pixels is not None, 120)
        await until(pilot, lambda: screen.query_one(StatusLine).event is None, 120)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskDialog))
        assert pilot.app.screen.query_one(Input).value == str(models / "r.safetensors")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: "two steps" not in text(pilot.app))
        assert pilot.app.screen is screen
        assert "method" in text(pilot.app)


@pytest.mark.parametrize(("name", "content"), [("gone.toml", None), ("bad.toml", "[[steps")])
async def test_a_recipe_that_cannot_be_opened_is_explained(name, content, models, opened, until):
    if content is not None:
        (models / name).write_text(content)
    async with opened() as (pilot, screen):
        await put(pilot, until, screen, models / name)
        await until(pilot, lambda: isinstance(pilot.app.screen, ErrorDialog))
        assert name in pilot.app.screen.error.message


async def test_names_of_merges_are_short_and_tell_the_numbers(opened, until):
    async with opened() as (_, screen):
        models = screen._models()
        name = kitchen.default_name(models, "weighted-sum", {"alpha": read_weight("GRAD_V")}).name
        assert name == "tiny-shapes-base-tiny-shapes-pastel-unet-weighted-sum-blocks.safetensors"
        name = kitchen.default_name(models * 3, "ties", {"density": 0.2, "normalize": True, "sign": "sum"}).name
        assert "-3-more-ties-0.2-sum." in name
        part = kitchen.parts(kitchen.merge_recipe(models, "weighted-sum", {"alpha": read_weight("GRAD_V")}), models)[0]
        assert part.title == "merge blocks"
