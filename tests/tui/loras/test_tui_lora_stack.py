"""The LoRA place: a stack with verdicts, what the keys change of it, the picker, trigger words, and its memory."""

from __future__ import annotations

import json
import shutil

import pytest
from lora_place_steps import BASE, FRAMED, WIDE, named, place, save_wide
from safetensors.numpy import load_file, save_file
from textual import events
from textual.widgets import Input, OptionList, SelectionList

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.actions import actions
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.fits.matrix_screen import MatrixScreen
from modelhub.tui.lab.screen import MergeLab
from modelhub.tui.library import Library
from modelhub.tui.loras import picking
from modelhub.tui.loras.dialogs import BlocksDialog, MakeMenu, WordsDialog
from modelhub.tui.loras.entry import MOST
from modelhub.tui.loras.files import Bake
from modelhub.tui.loras.make_dialog import MakeDialog
from modelhub.tui.loras.picking import ChoiceList, LoraPickDialog
from modelhub.tui.loras.screen import LoraScreen
from modelhub.tui.screens.dialogs import ErrorDialog

SIZE = (120, 40)


@pytest.fixture
def library(models, home):
    """The tiny models and a LoRA that fits none of them."""
    save_wide(models)
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home)


async def test_marked_loras_and_a_model_come_with_a_key(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 5)
        numbers = {asset.name: asset.id for asset in named(library, BASE, FRAMED, WIDE)}
        assets.marks = dict.fromkeys(numbers.values())
        await pilot.press("l")
        await until(pilot, lambda: isinstance(it.screen, LoraScreen) and it.screen.stack.count == 2)
        screen = it.screen
        await until(pilot, lambda: len(screen.stack.answers) == 2)
        assert screen.model.name == BASE
        lines = text(it).splitlines()
        assert any("✓ tiny-shapes-framed-lora" in line for line in lines)
        assert any("✗ too-wide[b]" in line for line in lines)
        await it.stack([], named(library, FRAMED))
        assert screen.stack.count == 2, "what is there already does not come twice"


async def test_the_evidence_follows_the_cursor(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        await pilot.press("home")
        await until(pilot, lambda: "✓ compatible" in text(it) and "192 attention" in text(it))
        await pilot.press("down")
        await until(pilot, lambda: "✗ incompatible" in text(it))
        await pilot.press("enter")
        assert it.focused.id == "lora-evidence"
        await pilot.press("escape")
        assert it.focused is screen.stack
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))


async def test_strengths_are_pushed_typed_and_dragged(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED))
        await pilot.press("left", "h", "shift+left")
        assert screen.stack.current.unet == 0.65
        await pilot.press(*"-0.2")
        await until(pilot, lambda: "-0.2▏" in text(it))
        await pilot.press("backspace", "5", "enter")
        assert screen.stack.current.unet == -0.5
        await pilot.press("9", "9", "enter")
        assert screen.stack.current.unet == 99, "more than the track has can be typed"
        columns = screen.stack._columns()
        await pilot.mouse_down(screen.stack, offset=(columns.left, 0))
        await pilot.mouse_up(screen.stack)
        assert screen.stack.current.unet == -1.0


async def test_the_text_encoders_have_a_strength_of_their_own(library, models, app, until, text):
    values = load_file(models / FRAMED)
    layer = next(name for name in values if name.endswith("lora_down.weight"))
    more = {f"lora_te_text_model_encoder_layers_0_mlp_fc1.{end}": value for end, value in (
        ("lora_down.weight", values[layer][:, :1].repeat(64, 1)), ("lora_up.weight", values[layer][:, :1].repeat(4, 1)),
    )}  # fmt: skip
    save_file({**values, **more}, models / "both.safetensors")
    with Catalog.open(library.folder) as catalog:
        scan(catalog, [models])
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, "both.safetensors"))
        assert screen.stack.cursor == 1
        await pilot.press("e", *"0.25", "enter")
        assert (screen.stack.current.unet, screen.stack.current.text) == (1.0, 0.25)
        await until(pilot, lambda: "te 0.25" in text(it))
        await pilot.press("equals_sign", "e", "up", "e")
        assert screen.stack.entries[1].text is None
        await until(pilot, lambda: "has nothing for the text encoders" in text(it))
        assert screen.stack.side == "unet"


async def test_mute_solo_order_and_out(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        await pilot.press("home", "m")
        await until(pilot, lambda: "mute" in text(it))
        await pilot.press("m", "s")
        await until(pilot, lambda: "solo" in text(it) and "mute" not in text(it))
        await pilot.press("s", "shift+down")
        assert [entry.asset.name for entry in screen.stack.entries] == [WIDE, FRAMED] and screen.stack.cursor == 1
        await pilot.press("shift+down")
        assert [entry.asset.name for entry in screen.stack.entries] == [WIDE, FRAMED], "there is nothing below"
        await pilot.press("less_than_sign", "x")
        assert [entry.asset.name for entry in screen.stack.entries] == [WIDE]
        await pilot.press("x", "x", "m", "s", "left")
        assert screen.stack.entries == () and screen.stack.answers == {}
        await until(pilot, lambda: "adds a LoRA that fits the model" in text(it))


async def test_block_weights_by_preset_and_in_words(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(it.screen, BlocksDialog) and isinstance(it.focused, OptionList))
        options = it.focused
        ids = [options.get_option_at_index(at).id for at in range(options.option_count)]
        assert ids[1] == "NONE" and "OUTD" in ids[:11] and "GRAD_V" in ids, "those that are made for LoRAs come first"
        options.highlighted = ids.index("OUTD")
        await pilot.press("enter")
        await until(pilot, lambda: screen.stack.current.blocks == "OUTD" and "OUTD" in text(it))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(it.screen, BlocksDialog) and isinstance(it.focused, OptionList))
        assert it.focused.highlighted_option.id == "OUTD"
        it.screen.query_one(Input).focus()
        it.screen.query_one(Input).value = "IN99=1"
        await pilot.press("enter")
        await until(pilot, lambda: "IN99" in str(it.screen.query_one("#blocks-say").render()))
        it.screen.query_one(Input).value = "IN04-IN08=0, 0.5"
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is screen and screen.stack.current.blocks == "IN04-IN08=0, 0.5")
        assert screen.stack.current.weight.blocks["IN05"] == 0.0


async def test_the_picker_shows_what_fits_and_opens_the_rest(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, LoraPickDialog) and it.screen.list.count == 2)
        await until(pilot, lambda: "1 LoRA fits, 1 others" in text(it) and "too-wide[b]" not in text(it))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "too-wide[b]" in text(it))
        await pilot.press("down", "enter")
        await until(pilot, lambda: it.screen is screen and screen.stack.count == 1)
        assert screen.stack.current.asset.name == WIDE and it.focused is screen.stack
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, LoraPickDialog) and it.screen.list.count == 2)
        await pilot.press(*"framed")
        await until(pilot, lambda: it.screen.query_one(ChoiceList).count == 1)
        it.screen.query_one(Input).value = "kind:lora ("
        await until(pilot, lambda: it.screen.query_one(ChoiceList).count == 0 and "never closed" in text(it))
        it.screen.query_one(Input).value = "kind:checkpoint"
        await until(pilot, lambda: "No LoRA is found" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)


async def test_what_is_typed_before_enter_counts(library, app, until, monkeypatch):
    monkeypatch.setattr(picking, "_PAUSE", 3600)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, LoraPickDialog) and it.screen.list.count == 2)
        assert it.screen.list.current.asset.name == FRAMED
        await pilot.press(*"too", "enter")
        await until(pilot, lambda: it.screen.list.opened or it.screen is screen)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: it.screen is screen and screen.stack.count == 1)
        assert screen.stack.current.asset.name == WIDE, "not the one that the list showed before"


async def test_keys_that_come_at_once_are_taken_in_order(library, app, until):
    seen = []
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(it.screen, BlocksDialog) and isinstance(it.focused, OptionList))
        it.screen.query_one(Input).focus()
        await pilot.pause()
        for key, sign in (*((sign, sign) for sign in "te=1"), ("enter", "\r")):
            it.post_message(events.Key(key, sign))
        await until(pilot, lambda: it.screen is screen)
        assert screen.stack.current.blocks == "te=1"
        it.push_screen(
            MakeDialog(Bake(library, *named(library, BASE), [(named(library, FRAMED)[0], 1.0)])), seen.append
        )
        await until(pilot, lambda: isinstance(it.screen, MakeDialog))
        field = it.screen.query_one("#make-title", Input)
        field.focus()
        await pilot.pause()
        for key, sign in (*((sign, sign) for sign in "name"), ("ctrl+s", None)):
            it.post_message(events.Key(key, sign))
        await until(pilot, lambda: it.screen is screen)
        assert seen[0]["title"] == "name"


async def test_without_a_model_any_lora_can_be_chosen_and_then_a_model(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until)
        await until(pilot, lambda: "o chooses a model" in text(it))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and it.screen.query_one(AssetList).current)
        await pilot.press("enter")
        await until(pilot, lambda: it.screen is screen and screen.stack.count == 1)
        assert screen.stack.answers == {}
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "no model" in it.screen.error.message
        await pilot.press("escape", "o")
        await until(pilot, lambda: isinstance(it.screen, PickDialog) and it.screen.query_one(AssetList).current)
        await pilot.press("enter")
        await until(pilot, lambda: screen.model is not None and screen.stack.answers)
        screen.slot.focus()
        await pilot.press("delete")
        await until(pilot, lambda: screen.model is None and screen.stack.answers == {})


async def test_a_stack_has_its_limit(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED))
        screen.stack.put(screen.stack.entries * MOST)
        await pilot.press("a")
        await until(pilot, lambda: "up to 12 LoRAs" in text(it))
        assert it.screen is screen
        screen.take([], named(library, WIDE))
        assert screen.stack.count == MOST


async def test_trigger_words_go_into_the_prompt_once(library, models, app, until, text):
    words = [f"word{number}" for number in range(5)]
    for name, some in (("few", words[:2]), ("many", words)):
        values = load_file(models / FRAMED)
        save_file(values, models / f"{name}.safetensors", {"modelspec.trigger_phrase": ", ".join(some)})
    with Catalog.open(library.folder) as catalog:
        scan(catalog, [models])
    few, many = named(library, "few.safetensors", "many.safetensors")
    if not few.trigger_words:
        pytest.fail("the scan does not tell trigger words of this metadata")
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await place(pilot, until, named(library, BASE), [few])
        prompt = screen.form.field("prompt")
        prompt.value = "a dog"
        await until(pilot, lambda: "t word0, word1" in text(it))
        await pilot.press("t")
        assert prompt.value == "a dog, word0, word1"
        await pilot.press("t")
        await until(pilot, lambda: "has all trigger words" in text(it))
        assert prompt.value == "a dog, word0, word1"
        prompt.value = ""
        screen.take([], [many])
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, WordsDialog))
        assert it.screen.query_one(SelectionList).option_count == 5
        await pilot.press("down", "space", "enter")
        await until(pilot, lambda: it.screen is screen and prompt.value == "word1")


async def test_all_is_there_again_after_a_restart(library, models, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        await pilot.press("left", "m")
        screen.form.field("prompt").value = "a cat"
        screen.form.field("negative").value = "blurry"
        screen.form.sampler.value = "DDIM"
        before = screen.stack.entries
        it._remember()
    (models / FRAMED).rename(models / "gone.txt")
    with Catalog.open(library.folder) as catalog:
        scan(catalog, [models])
    again = Library(library.folder)
    async with (it := app(again)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until)
        assert screen.model.name == BASE and screen.form.field("prompt").value == "a cat"
        request = screen.form.request()
        assert (request.negative, request.sampler) == ("blurry", "DDIM")
        assert [(entry.asset.name, entry.unet, entry.muted) for entry in screen.stack.entries] == [
            (entry.asset.name, entry.unet, entry.muted) for entry in before
        ]
        await until(pilot, lambda: len(screen.stack.answers) == 2)
        gone = next(entry for entry in screen.stack.entries if entry.asset.name == FRAMED)
        assert gone.asset.missing
        screen.stack.cursor = screen.stack.entries.index(gone)
        await until(pilot, lambda: "The file is not there any more" in text(it))


@pytest.mark.parametrize(
    "kept", [{"stack": 3}, {"model": 3, "stack": [{"path": "/no/such"}]}, {"steps_row": ["x"], "prompt": 3}]
)
async def test_nonsense_in_the_memory_does_no_harm(library, app, until, kept):
    (library.folder / "state.json").write_text(json.dumps({"lora": kept}))
    async with app(library).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until)
        assert screen.stack.entries == () and screen.model is None and screen._steps


async def test_every_action_is_there_and_in_the_menu(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until)
        for action in actions("lora"):
            assert hasattr(screen, f"action_{action.call.partition('(')[0]}"), action.name
        await pilot.press("c")
        await until(pilot, lambda: isinstance(it.screen, MakeMenu) and "^s" in text(it))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(it.screen, PickDialog))


async def test_the_matrix_of_the_stack(library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        await pilot.press("f")
        await until(pilot, lambda: it.screen.query("#matrix") and it.screen.matrix.count == 2)
        await until(pilot, lambda: "6 pairs: ✓ 3  ✗ 3" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is screen)


async def test_hostile_names_are_shown_and_not_obeyed(library, models, app, until, text):
    shutil.copy(models / FRAMED, models / "[red]x[-]\x1b[31m.safetensors")
    with Catalog.open(library.folder) as catalog:
        scan(catalog, [models])
        hostile = next(asset for asset in catalog.find() if "[red]" in asset.name)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), [hostile])
        await until(pilot, lambda: r"[red]x[-]\x1b[31m" in text(it))
        for key in ("c", "ctrl+s", "r", "n", "b"):
            await pilot.press(key)
            await until(pilot, lambda: it.screen is not screen)
            await pilot.pause()
            assert "\x1b" not in text(it)
            await pilot.press("escape")
            await until(pilot, lambda: it.screen is screen)


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (60, 16)])
async def test_the_place_fits_every_terminal(library, app, until, text, size):
    async with (it := app(library)).run_test(size=size) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, FRAMED, WIDE))
        assert all(len(line) == size[0] for line in text(it).splitlines())
        assert not [child for child in screen.query("#lora-top *, #lora-form *") if child.region.right > size[0]]
        assert "✓ tiny" in text(it) and "prompt" in text(it)
        if size[0] < 100:
            await pilot.press("home", "enter")
            await until(pilot, lambda: "✓ compatible" in text(it))
            await pilot.press("escape")
            await until(pilot, lambda: "✓ tiny" in text(it))


async def test_a_pair_goes_from_what_fits_to_the_stack_or_the_lab(library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.pause()
        it.push_screen(MatrixScreen(library, named(library, FRAMED), named(library, BASE)))
        await until(pilot, lambda: it.screen.query("#matrix") and it.screen.matrix.current)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(it.screen, LoraScreen) and it.screen.stack.count == 1)
        it.go("browse")
        await until(pilot, lambda: isinstance(it.screen, MatrixScreen))
        await pilot.press("m")
        await until(pilot, lambda: isinstance(it.screen, MergeLab))
