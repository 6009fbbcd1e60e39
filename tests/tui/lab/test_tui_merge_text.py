"""Recipes in the merge lab beyond the sliders: its result, the outlook, text that is checked, grids, history, memory."""

from __future__ import annotations

import json
import threading

import pytest
from merge_lab_steps import idle, lab
from textual.widgets import Checkbox, Input, Select

from modelhub.preview.request import Request
from modelhub.tui.lab import history as history_module
from modelhub.tui.lab import opening_screen
from modelhub.tui.lab.grid_screen import GridDialog
from modelhub.tui.lab.history import History
from modelhub.tui.lab.history_dialog import HistoryDialog
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.requests import plain_request, read_request
from modelhub.tui.lab.saving_screen import SaveDialog
from modelhub.tui.lab.state import read_state
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog, ReportDialog
from modelhub.tui.widgets.slider import Slider

SIZE = (120, 40)
BASE, PASTEL = "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors"
FRAMED = "tiny-shapes-framed-lora.safetensors"


def slider(screen):
    return screen.form.query_one("#parameters").query_one(Slider)


async def test_the_result_has_a_field_for_all_that_a_recipe_says(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        for name, value in (("dtype", "fp32"), ("ema", "keep"), ("compat", "a1111")):
            screen.query_one(f"#{name}", Select).value = value
        screen.query_one("#only", Input).value = "unet"
        recipe = screen._recipe()
        assert (recipe.dtype, recipe.ema, recipe.compat, recipe.steps[0].only) == ("fp32", "keep", "a1111", ("unet",))
        await until(pilot, lambda: screen.query_one(OutlookLine).problem)
        screen.query_one("#compat", Select).value = ""
        await until(pilot, lambda: "GB free" in text(it) and "47" in screen.query_one(OutlookLine).facts)
        screen.query_one("#only", Input).value = "wheels"
        await until(pilot, lambda: "wheels" in text(it).splitlines()[-2])
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog) and "wheels" in it.screen.error.message)


async def test_the_outlook_tells_what_cannot_be_and_all_warnings(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE)
        line = screen.query_one(OutlookLine)
        await until(pilot, lambda: line.missing.startswith("Weighted sum takes 2 models"))
        with tiny.open() as catalog:
            screen._slot("B").asset = catalog.named(FRAMED)[0]
        screen.form.reshape()
        await until(pilot, lambda: line.problem)
        with tiny.open() as catalog:
            screen._slot("B").asset = catalog.named(PASTEL)[0]
        screen.form.reshape()
        await until(pilot, lambda: line.warnings and not line.problem)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(it.screen, ReportDialog) and "682 merged" in text(it))
        assert all(word in text(it) for word in line.warnings[0].split()[:5])


async def test_a_recipe_is_edited_as_text_and_comes_back_to_the_form(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f10")
        await until(pilot, lambda: screen.is_text and "weighted-sum" in screen.editor.area.text)
        whole = screen.editor.area.text
        screen.editor.area.text = whole.replace("alpha = 0.5", "alpha = 0.125\nsteps = [")
        await until(pilot, lambda: "not valid TOML" in text(it) and screen.query_one(OutlookLine).problem)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        screen.editor.area.text = whole.replace("alpha = 0.5", 'alpha = 0.125\nonly = ["unet"]')
        await until(pilot, lambda: not screen.query_one(OutlookLine).problem)
        await pilot.press("f10")
        await until(pilot, lambda: not screen.is_text)
        assert slider(screen).value == 0.125 and screen.query_one("#only", Input).value == "unet"


async def test_a_recipe_of_two_steps_stays_text(tiny, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f10")
        await until(pilot, lambda: screen.is_text)
        more = '\n[[steps]]\nmethod = "weighted-sum"\ninputs = ["half", "B"]\n'
        screen.editor.area.text = screen.editor.area.text.replace("[[steps]]", '[[steps]]\nname = "half"') + more
        assert len(screen._recipe().steps) == 2
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "no room" in it.screen.error.message
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        assert screen.is_text
        await pilot.press("escape")
        await until(pilot, lambda: not screen.is_text)
        assert it.screen is screen and slider(screen).value == 0.5


async def test_a_grid_is_asked_for_shown_and_saved(tiny, models, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        screen.query_one("#size", Input).value = "64x64"
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(it.screen, GridDialog))
        assert it.screen.query_one("#x", Input).value == "alpha=0-1[5]"
        await until(pilot, lambda: "10 pictures: 5 × 2." in text(it))
        it.screen.query_one("#x", Input).value = "alpha="
        await until(pilot, lambda: "empty value" in text(it))
        await pilot.press("enter")
        assert isinstance(it.screen, GridDialog), "what cannot be read is not rendered"
        it.screen.query_one("#x", Input).value = "wheels=1,2"
        await until(pilot, lambda: "There is no axis 'wheels'" in text(it))
        it.screen.query_one("#x", Input).value = "alpha=0,1"
        await until(pilot, lambda: "4 pictures: 2 × 2." in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: screen._sheet is not None and idle(screen), 180)
        assert screen.has_sheet and len(screen.sheet._pictures) == 4
        assert "alpha 0" in text(it) and "seed 2" in text(it) and text(it).count("▀") > 200
        await pilot.press("i")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = str(models / "sheet.png")
        await pilot.press("enter")
        await until(pilot, lambda: (models / "sheet.png").exists() and it.screen is screen and idle(screen))
        from PIL import Image

        with Image.open(models / "sheet.png") as image:
            assert "X Type: alpha" in image.text["parameters"]
        await pilot.press("escape")
        await until(pilot, lambda: not screen.has_sheet)
        assert it.screen is screen
        assert [entry.what for entry in History(tiny.folder).entries()] == ["grid"]


async def test_a_grid_tries_other_models_in_the_place_of_one(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        screen.query_one("#size", Input).value = "64x64"
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(it.screen, GridDialog))
        it.screen.query_one("#x", Input).value = "model=a,b"
        await until(pilot, lambda: "B=NAME,NAME; `modelhub grid`" in text(it))
        it.screen.query_one("#y", Input).value = ""
        it.screen.query_one("#x", Input).value = f"b={PASTEL},tiny-shapes-stripes-unet"
        await until(pilot, lambda: "2 pictures: 2 × 1." in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: screen._sheet is not None and idle(screen), 180)
        assert "B: tiny-shapes-stripes-unet" in screen._sheet.infotext
        left, right = (pixels.tobytes() for _, pixels in sorted(screen.sheet._pictures.items()))
        assert left != right
        await pilot.press("escape", "f4")
        await until(pilot, lambda: isinstance(it.screen, GridDialog))
        it.screen.query_one("#x", Input).value = "b=nobody"
        await until(pilot, lambda: "1 picture: 1 × 1." in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog) and "'nobody'" in text(it))


async def test_the_picture_goes_beside_the_file_if_it_is_wished_for(tiny, models, app, until):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        screen.query_one("#size", Input).value = "64x64"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(it.screen, SaveDialog))
        assert not it.screen.query(Checkbox), "there is no picture yet"
        await pilot.press("escape", "f5")
        await until(pilot, lambda: screen.pictures.shown("merge") and idle(screen), 120)
        for name, wanted in (("with", True), ("without", False)):
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(it.screen, SaveDialog) and it.screen.query(Checkbox))
            it.screen.query_one(Input).value = str(models / f"{name}.safetensors")
            it.screen.query_one(Checkbox).value = wanted
            await pilot.press("enter")
            await until(
                pilot,
                lambda name=name: (models / f"{name}.safetensors").exists() and idle(screen) and it.screen is screen,
                120,
            )
            assert (models / f"{name}.preview.png").exists() is wanted
        kinds = [entry.what for entry in History(tiny.folder).entries()]
        assert kinds == ["model", "model", "preview"]


async def test_the_history_brings_a_recipe_its_request_and_its_picture_back(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(it.screen, HistoryDialog) and "Nothing was previewed" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)
        screen.query_one("#size", Input).value = "64x64"
        for value, prompt in ((0.25, "a red circle"), (0.75, "a blue square")):
            slider(screen).value = value
            screen.query_one("#prompt", Input).value = prompt
            await pilot.press("f5")
            await until(
                pilot,
                lambda value=value: (
                    idle(screen)
                    and screen.pictures.shown("merge")
                    and screen.pictures.shown("merge").part.title == f"merge {value}"
                ),
                120,
            )
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(it.screen, HistoryDialog) and it.screen.list.count == 2)
        await pilot.press("down")
        await until(pilot, lambda: "prompt a red circle" in text(it) and "▀" in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is screen and slider(screen).value == 0.25)
        assert screen.query_one("#prompt", Input).value == "a red circle"
        await until(pilot, lambda: screen.pictures.frame("merge").status == "from the history")
        assert screen.pictures.frame("merge").pixels.shape == (64, 64, 3)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(it.screen, HistoryDialog) and it.screen.list.count == 2)
        await pilot.press("delete")
        await until(pilot, lambda: it.screen.list.count == 1)
        assert [entry.title for entry in History(tiny.folder).entries()] == ["merge 0.25"]


async def test_the_lab_is_as_it_was_after_a_restart(tiny, app, until):
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL, FRAMED)
        await until(pilot, lambda: len(screen.form.loras) == 1)
        slider(screen).value = 0.3
        screen.query_one("#preset", Select).value = "GRAD_V"
        screen.query_one("#dtype", Select).value = "fp32"
        screen.query_one("#prompt", Input).value = "a hat"
        screen.query_one("#seeds", Input).value = "2"
        await until(pilot, lambda: screen.blocks.weight is not None)
        recipe, request = screen._recipe(), screen._request()
        pilot.app.leave()
    again = Library(tiny.folder)
    async with app(again).run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("M")
        await until(pilot, lambda: pilot.app.place("lab") is not None)
        screen = pilot.app.place("lab")
        await until(pilot, lambda: screen.query(Slider) and screen.form.loras)
        await until(pilot, lambda: screen._recipe() == recipe)
        assert screen._request() == request and recipe.dtype == "fp32"


async def test_what_was_remembered_gives_way_to_what_is_marked(tiny, app, until):
    stale = {"models": ["/gone.safetensors", 7], "method": "slerp", "values": {"alpha": "x"}, "loras": [["a"], 3]}
    (tiny.folder / "state.json").write_text(json.dumps({"lab": stale}))
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.pause(0.3)
        assert [asset.name for asset in screen._models()] == [BASE, PASTEL]
        assert screen.form.method.name == "weighted-sum"


async def test_the_empty_lab_says_what_to_do(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=(80, 24)) as pilot:
        await pilot.press("M")
        await until(pilot, lambda: "Choose the models to merge" in text(it))
        await until(pilot, lambda: "press m there" in text(it) and "takes 2 models" in text(it))


# -- what is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"method": "no such method", "models": 3, "values": ["x"], "loras": "abc"},
        {"models": [None, "a"], "loras": [["a", True], ["b", 1]], "values": {"alpha": 3}, "result": []},
    ],
)
def test_any_memory_makes_a_state(plain):
    state = read_state(plain)
    assert state.method == "weighted-sum" and state.parameters() == {}
    assert all(isinstance(path, str) for path in state.paths)


def test_a_request_comes_back_from_plain_values():
    request = Request(
        "a cat", "a dog", sampler="", schedule="", steps=3, cfg=4.5, seed=9, width=64, height=128, batch=2
    )
    assert read_request(json.loads(json.dumps(plain_request(request)))) == request
    assert read_request("nothing") == Request("")
    assert read_request({"steps": 0}) is None, "out of range"
    assert read_request({"prompt": 3, "seed": True}) == Request("")


def test_the_history_is_bounded_and_bears_with_broken_files(tmp_path, monkeypatch):
    monkeypatch.setattr(history_module, "MOST", 3)
    history = History(tmp_path)
    for number in range(5):
        history.add("preview", f"merge {number}", "")
    assert [entry.title for entry in history.entries()] == ["merge 4", "merge 3", "merge 2"]
    newest = history.entries()[0]
    (history.folder / f"{newest.id}.json").write_text('{"id": 3}')
    (history.folder / "zzz.json").write_text("no json")
    assert [entry.title for entry in history.entries()] == ["merge 3", "merge 2"]


def test_the_name_of_an_entry_is_that_of_its_file(tmp_path):
    history = History(tmp_path)
    entry = history.add("preview", "merge", "")
    path = history.folder / f"{entry.id}.json"
    path.write_text(path.read_text().replace(entry.id, "../../elsewhere"))
    (outside := tmp_path.parent / "elsewhere.json").write_text("mine")
    history.delete(history.entries()[0])
    assert outside.read_text() == "mine" and not path.exists()


async def test_nothing_is_forgotten_before_it_is_put_back(tiny, app, until, monkeypatch):
    """The app asks every few seconds what to remember, also while the catalog is still looking for the models."""
    kept = {"models": ["/a.safetensors", "/b.safetensors"], "method": "slerp", "text": ""}
    (tiny.folder / "state.json").write_text(json.dumps({"lab": kept}))
    let = threading.Event()

    def find(*_):
        let.wait(20)
        return {}

    monkeypatch.setattr(opening_screen, "find_assets", find)
    async with app(tiny).run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("M")
        await until(pilot, lambda: pilot.app.place("lab") is not None and pilot.app.place("lab").query(Slider))
        screen = pilot.app.place("lab")
        assert screen.remember() == kept
        let.set()
        await until(pilot, lambda: screen.form.method.name == "slerp")
        assert screen.remember()["models"] == ["", ""], "they are gone"
