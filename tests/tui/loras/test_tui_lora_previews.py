"""Previews of the LoRA place: without and with, strengths in a row, live ones that never show what is out of date."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from lora_place_steps import BASE, FRAMED, WIDE, done, named, place, quick, save_wide
from merge_lab_steps import render

from modelhub.catalog.store import Catalog
from modelhub.demo.style import LEAST_FRAME, frame_score
from modelhub.jobs import QUIET
from modelhub.scan.run import scan
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.lab import stove
from modelhub.tui.loras import parts as lora_parts
from modelhub.tui.loras.entry import Entry
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog

SIZE = (120, 40)


def pixels(screen, letter):
    return screen.pictures.frame(letter).pixels


async def test_without_and_with_at_equal_seeds(tiny, app, until, text):
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        quick(screen, steps="12")
        await pilot.press("f5")
        await until(pilot, lambda: done(screen) and pixels(screen, "without") is not None, 120)
        without, with_it = pixels(screen, "without"), pixels(screen, "with")
        assert frame_score(without) < LEAST_FRAME < frame_score(with_it)
        await until(
            pilot, lambda: "without: tiny-shapes-base" in text(pilot.app) and "framed-lora × 1" in text(pilot.app)
        )
        await pilot.press("0", "enter", "f5")
        await until(pilot, lambda: done(screen) and pixels(screen, "with") is not with_it, 120)
        assert np.array_equal(pixels(screen, "with"), without), "at 0 nothing is added"
        assert pixels(screen, "without") is without, "what is shown already is not rendered again"
        title = screen.pictures.frame("with").title
        other = [replace(part, title="another") for part in screen.wanted_parts()]
        screen.pictures.expect(other, screen.form.request())
        assert screen.pictures.frame("with").title == title, "the picture is still the one before"
        screen.pictures.give_up()
        await pilot.press("m")
        await until(pilot, lambda: "All LoRAs of the stack are muted" in text(pilot.app))
        assert pixels(screen, "with") is None


def test_parts_of_one_renderer_are_those_of_renderers_of_their_own(tiny):
    base, lora = named(tiny, BASE, FRAMED)
    parts = lora_parts.strip(base, [Entry(lora)], 0, (0.0, 1.0)) + lora_parts.pair(base, [Entry(lora)])
    request = kitchen_request()
    found = {part.letter: shot for part, shot in stove.Stove().cook(tiny, parts, request, "cpu", QUIET)}
    assert list(found) == ["x0", "x1", "with", "without"]
    for part in parts:
        alone = render(tiny, part, request)
        assert np.array_equal(found[part.letter].pixels, alone.pixels), part.letter
    assert not np.array_equal(found["x0"].pixels, found["x1"].pixels)


def kitchen_request():
    from modelhub.tui.loras.request import read_request

    return read_request({"prompt": "a red circle, framed", "steps": "3", "size": "64", "cfg": "3.5"}, 3)


async def test_what_does_not_fit_says_so_in_its_frame(models, home, app, until, text):
    from modelhub.tui.library import Library

    save_wide(models)
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    library = Library(home)
    async with app(library).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(library, BASE), named(library, WIDE))
        quick(screen)
        await pilot.press("f5")
        await until(pilot, lambda: done(screen) and pixels(screen, "without") is not None, 120)
        assert pixels(screen, "with") is None and "other sizes" in screen.pictures.frame("with").note
        assert not isinstance(pilot.app.screen, ErrorDialog)


async def test_a_row_of_strengths_and_back(tiny, app, until, text, monkeypatch):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        quick(screen)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await pilot.press(*[*["backspace"] * 20, *"x", "enter"])
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        await pilot.press("escape", "w")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await pilot.press(*[*["backspace"] * 20, *"0 1.5", "enter"])
        await until(pilot, lambda: pixels(screen, "x1") is not None and done(screen), 120)
        assert [frame.id for frame in screen.pictures.children if frame.display] == ["frame-x0", "frame-x1"]
        assert not np.array_equal(pixels(screen, "x0"), pixels(screen, "x1"))
        await until(pilot, lambda: "× 1.5" in text(it))
        assert screen.stove.is_warm, "the next picture reads only what differs"
        monkeypatch.setattr(stove, "_WARM", 0.01)
        screen.cool_soon()
        await until(pilot, lambda: not screen.stove.is_warm)
        await pilot.press("escape")
        await until(pilot, lambda: not screen.pictures.is_strip)
        assert it.screen is screen and screen._steps == (0.0, 1.5)


@pytest.mark.parametrize("typed", ["x", ""])
async def test_mistakes_of_the_fields(tiny, app, until, typed):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        quick(screen, steps=typed or "2")
        screen.form.field("prompt").focus()
        await pilot.press("enter")
        if typed:
            await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
            assert "number of steps" in it.screen.error.message
        else:
            await until(pilot, lambda: done(screen) and pixels(screen, "with") is not None, 120)


async def test_live_previews_follow_the_last_change_and_a_stale_one_never_wins(tiny, app, until, monkeypatch):
    asked, let, real = [], threading.Event(), stove.Stove.cook

    def slow(hot, library, parts, request, device, job):
        asked.append([lora.weight for part in parts if part.recipe for lora in part.recipe.loras])
        turn = len(asked)
        while turn == 1 and not let.wait(0.01):
            pass  # deaf to being stopped, as in the middle of a long step
        found = list(real(hot, library, parts, request, device, job if turn > 1 else QUIET))
        yield from found

    monkeypatch.setattr(stove.Stove, "cook", slow)
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        quick(screen, steps="2")
        await pilot.press("v")
        await until(pilot, lambda: asked == [[1.0]], 60)
        await pilot.press("left", "left", "left", "left")
        await pilot.press("0", ".", "5", "enter")
        await until(pilot, lambda: len(screen.jobs.open) == 2, 60)
        let.set()
        await until(pilot, lambda: len(asked) == 2 and done(screen), 120)
        assert asked == [[1.0], [0.5]], "what was passed on the way is not rendered"
        base, lora = named(tiny, BASE, FRAMED)
        part = lora_parts.pair(base, [Entry(lora, 0.5)])[0]
        wanted = render(tiny, part, screen.form.request()).pixels
        assert np.array_equal(pixels(screen, "with"), wanted), "the picture of the first was dropped"
        screen.form.field("steps").value = "many"
        await until(pilot, lambda: "number of steps" in screen.pictures.frame("with").note, 60)
        await pilot.press("v")
        screen.form.field("steps").value = "2"
        await pilot.press("left")
        assert screen._pause is None, "without the switch nothing is rendered by itself"


async def test_escape_stops_first_and_leaves_then(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await place(pilot, until, named(tiny, BASE), named(tiny, FRAMED))
        quick(screen, steps="150")
        await pilot.press("f5")
        await until(pilot, lambda: not done(screen) and "sampling" in text(it), 60)
        await pilot.press("escape")
        await until(pilot, lambda: done(screen), 60)
        assert it.screen is screen
        await until(pilot, lambda: "stopped" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))
