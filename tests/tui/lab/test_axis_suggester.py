"""What is completed of an axis in the lab's grid."""

from __future__ import annotations

import pytest
from merge_lab_steps import lab
from textual.widgets import Input

from modelhub.merge.recipes.recipe import simple_recipe
from modelhub.tui.lab.axis_suggester import AxisSuggester
from modelhub.tui.lab.grid_screen import GridDialog
from modelhub.tui.lab.slot import partners

RECIPE = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3}, loras=[("framed", 1.0)])


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("al", "alpha="),
        ("B", "B="),
        ("SAM", "sampler="),
        ("prompt-", "prompt-order="),
        ("lor", "lora:"),
        ("lora:tiny-shapes-fr", "lora:tiny-shapes-framed-lora="),
        ("lora:tiny-shapes-b", None),
        ("B=tiny-shapes-b", "B=tiny-shapes-base"),
        ("b=tiny-shapes-base, tiny-shapes-p", "b=tiny-shapes-base, tiny-shapes-pastel-unet"),
        ("B=tiny-shapes-fr", None),
        ("l1=tiny-shapes-fr", "l1=tiny-shapes-framed-lora"),
        ("L1=tiny-shapes-b", None),
        ("C=tiny-shapes-b", None),
        ("sampler=Euler,dpm++ 2m s", "sampler=Euler,DPM++ 2M SDE"),
        ("schedule=kar", "schedule=Karras"),
        ("vae=tiny-shapes-p", None),
        ("seed=1", None),
        ("mod", None),
        ("alpha=", None),
        ("", None),
        ("B=[b]\x1b", None),
    ],
)
async def test_names_and_values_are_completed(tiny, typed, whole):
    suggester = AxisSuggester(tiny, RECIPE, partners([]))
    assert await suggester.get_suggestion(typed) == whole


async def test_tab_takes_the_completion_and_then_goes_on(tiny, app, until):
    async with (it := app(tiny)).run_test(size=(120, 40)) as pilot:
        await lab(pilot, until, "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors")
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(it.screen, GridDialog))
        field = it.screen.query_one("#x", Input)
        field.value = ""
        await pilot.press(*"B=tiny-shapes-st")
        await until(pilot, lambda: field._suggestion.startswith("B=tiny-shapes-stripes"))
        await pilot.press("tab")
        await until(pilot, lambda: field.value.startswith("B=tiny-shapes-stripes"))
        await pilot.press("tab")
        await until(pilot, lambda: it.focused is it.screen.query_one("#y", Input))
