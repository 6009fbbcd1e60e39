"""Bars of block weights: what is drawn, what keys and the mouse do, and what comes out."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from modelhub.catalog.blocks import block_names
from modelhub.catalog.weighing.weights import Weight, read_weight
from modelhub.merge.registry import find_method
from modelhub.tui.lab.bars import Bars, columns_of
from modelhub.tui.lab.block_weights import EACH, NONE, BlockWeights


class Bench(App[None]):
    """Nothing but block weights."""

    CSS = "BlockWeights { height: auto; } Bars { height: 4; }"

    def compose(self) -> ComposeResult:
        yield BlockWeights()


async def bench(pilot, architecture="sd1", choice=EACH, method="weighted-sum"):
    weights = pilot.app.query_one(BlockWeights)
    weights.architecture = architecture
    weights.parameter = find_method(method).parameters[0]
    weights.base = weights.parameter.default
    weights.choice = choice
    await pilot.pause()
    return weights


@pytest.mark.parametrize(
    ("share", "rows", "bar"),
    [(0, 2, " ▁"), (1, 2, "██"), (0.5, 2, " █"), (0.75, 2, "▄█"), (0.25, 1, "▂"), (-3, 2, " ▁"), (7, 2, "██")],
)
def test_a_bar_is_drawn_in_eighths(share, rows, bar):
    assert columns_of(share, rows) == bar


async def test_arrows_walk_and_push():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot)
        weights.bars.focus()
        await pilot.press("up", "right", "up", "up", "end", "right", "home")
        assert weights.weight.blocks["BASE"] == 0.55
        assert weights.weight.blocks["IN00"] == 1
        assert weights.weight.blocks["IN01"] == 0
        assert set(weights.weight.blocks) == {"BASE", "IN00", "IN01"}, "the others are the slider's"
        weights.base = 0.25
        await pilot.pause()
        assert weights.bars.values == dict.fromkeys(block_names("sd1"), 0.25) | weights.weight.blocks
        await pilot.press("left", "shift+down")
        assert weights.weight.blocks["IN00"] == 0.99


async def test_digits_are_typed_and_may_leave_the_ends():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot)
        weights.bars.focus()
        await pilot.press(*"1.25", "enter")
        assert weights.bars.values["BASE"] == 1.25
        await pilot.press(*"--", "enter")
        assert weights.bars.values["BASE"] == 1.25, "that is no number"
        await pilot.press(*"0.4", "right")
        assert weights.bars.values["BASE"] == 0.4, "walking on takes it"
        assert weights.bars.cursor == 1


@pytest.mark.parametrize(("architecture", "count"), [("sd1", 26), ("sdxl", 20), ("flux1", 61)])
async def test_bars_fit_eighty_columns(architecture, count, text):
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot, architecture, "GRAD_V")
        lines = text(pilot.app).splitlines()
        assert len(weights.bars.names) == count
        assert all(len(line) == 80 for line in lines)
        assert lines[0].startswith(weights.bars.names[0])
        assert sum(char in "▁▂▃▄▅▆▇█" for char in lines[2]) >= count
        assert ("D00" if architecture == "flux1" else "OUT00") in lines[3]


async def test_a_preset_stays_one_until_a_bar_is_pushed():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot, choice="GRAD_V")
        assert weights.weight == read_weight("GRAD_V")
        assert weights.bars.values == read_weight("GRAD_V").numbers("sd1", 0.5)
        weights.bars.focus()
        await pilot.press("right", "down")
        assert weights.weight == read_weight("GRAD_V, IN00=0.95")
        assert weights.bars.values["OUT11"] == 1
        weights.choice = NONE
        await pilot.pause()
        assert weights.weight is None
        assert not weights.display


async def test_a_weight_of_a_recipe_is_shown_as_it_is():
    given = Weight(components={"te1": 0.2}, blocks={"IN04": 0.75}, keys=(("*attn2*", 0.0),))
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot, choice=NONE)
        weights.take(given)
        await pilot.pause()
        assert weights.weight == given
        assert (weights.bars.values["BASE"], weights.bars.values["IN04"], weights.bars.values["M00"]) == (
            0.2,
            0.75,
            0.5,
        )
        weights.bars.focus()
        await pilot.press("up")
        assert weights.weight.numbers("sd1", 0.5)["BASE"] == 0.25
        assert weights.weight.keys == given.keys


async def test_what_has_no_bar_stays_as_it_was_given():
    given = Weight(components={"te2": 0.2, "vae": 0.7}, blocks={"IN04": 1.23456789012}, keys=(("*attn2*", 0.0),))
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot, "sdxl", NONE)
        weights.take(given)
        weights.bars.focus()
        await pilot.press("right", "up", "right", "down")
        assert weights.weight == Weight(
            components=given.components, blocks={"IN04": 1.23456789012, "IN00": 0.55, "IN01": 0.45}, keys=given.keys
        )


async def test_a_curve_is_drawn_with_the_mouse():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot)
        await pilot.mouse_down(Bars, offset=(0, 2))
        await pilot.hover(Bars, offset=(3, 1))
        await pilot.hover(Bars, offset=(6, 1))
        await pilot.mouse_up(Bars, offset=(6, 1))
        await pilot.hover(Bars, offset=(9, 1))
        assert weights.weight.blocks == {"BASE": 0.25, "IN00": 0.75, "IN01": 0.75}


async def test_a_click_puts_the_bar_there():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot)
        await pilot.click(Bars, offset=(6, 1))
        assert weights.bars.cursor == 2
        assert weights.bars.values["IN01"] == 0.75
        await pilot.click(Bars, offset=(6, 2))
        assert weights.bars.values["IN01"] == 0.25


async def test_without_a_table_of_blocks_there_is_nothing_to_push():
    async with Bench().run_test(size=(80, 10)) as pilot:
        weights = await bench(pilot, "", "GRAD_V")
        assert weights.weight is None
        assert not weights.display
