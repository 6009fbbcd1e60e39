"""The merge lab as it renders: live, held beside the next one, over several seeds; and what never comes too late."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from merge_lab_steps import idle, lab
from textual.widgets import Input, Select

from modelhub.preview.pictures.picture import Picture
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.frame import Frame
from modelhub.tui.lab.history import History
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.shots import Shot
from modelhub.tui.lab.stove import Stove
from modelhub.tui.widgets.slider import Slider

SIZE = (120, 40)
BASE, PASTEL = "tiny-shapes-base.safetensors", "tiny-shapes-pastel-unet.safetensors"


def shot(value: int) -> Shot:
    pixels = np.full((8, 8, 3), value, np.uint8)
    return Shot((Picture(pixels, 1, "an infotext", float(value), 0.0, ()),))


def alpha_of(part: kitchen.Part) -> float:
    """The alpha of a merge; that of a parent is that of what it is shown as."""
    return part.recipe.steps[0].parameters["alpha"] if part.recipe else -1.0


@pytest.fixture
def rendered(monkeypatch):
    """What was rendered, as (letter, alpha); the picture of a merge is as bright as its alpha says."""
    found = []

    def render(stove, catalog, opener, part, request, device, job):
        found.append((part.letter, alpha_of(part)))
        return shot(round(abs(alpha_of(part)) * 100))

    monkeypatch.setattr(Stove, "_shot", render)
    return found


def bright(screen, letter="merge"):
    pixels = screen.pictures.frame(letter).pixels
    return None if pixels is None else int(pixels.max())


async def test_a_live_preview_follows_the_form_and_leaves_the_parents(tiny, app, until, rendered, text):
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: len(rendered) == 3 and bright(screen) == 50 and "● live" in text(it))
        slider = screen.form.query_one("#parameters").query_one(Slider)
        for value in (0.1, 0.2, 0.3):
            slider.value = value
        await until(pilot, lambda: bright(screen) == 30)
        assert [one for one in rendered[3:] if one[0] == "merge"] == [("merge", 0.3)], "only where it came to rest"
        assert len(rendered) == 4, "the parents are what they were"
        screen.query_one("#prompt", Input).value = "a blue square"
        await until(pilot, lambda: len(rendered) == 7)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "● live" not in text(it))
        slider.value = 0.9
        await until(pilot, lambda: "has no" not in text(it) and not screen.query_one(OutlookLine).problem)
        await pilot.pause(1.0)
        assert len(rendered) == 7, "it is off"


async def test_a_stale_picture_never_covers_a_newer_one(tiny, app, until, monkeypatch):
    let, begun, ended = threading.Event(), [], []

    def render(stove, catalog, opener, part, request, device, job):
        alpha = alpha_of(part)
        begun.append(alpha)
        if part.letter == "merge" and alpha == 0.5:
            while not (let.is_set() or job.cancelled):
                let.wait(0.01)
            ended.append(job.cancelled)
        return shot(round(abs(alpha) * 100))  # as one that cannot be stopped any more: it comes, and too late

    monkeypatch.setattr(Stove, "_shot", render)
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f5")
        await until(pilot, lambda: begun == [0.5])
        screen.form.query_one("#parameters").query_one(Slider).value = 0.25
        await pilot.press("f5")
        await until(pilot, lambda: bright(screen) == 25 and idle(screen))
        assert ended == [True], "the one before was stopped"
        assert bright(screen) == 25
        assert [record.title for record in it.jobs.records] == ["Preview"], "what was replaced is not listed"
        assert not it._notifications, "nobody is told that it stopped"


async def test_what_was_stopped_is_asked_for_again_before_it_has_ended(tiny, app, until, monkeypatch):
    let, begun = threading.Event(), []

    def render(stove, catalog, opener, part, request, device, job):
        begun.append(part.letter)
        let.wait(20)  # deaf, as in the middle of a long step
        return shot(50)

    monkeypatch.setattr(Stove, "_shot", render)
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f5")
        await until(pilot, lambda: begun)
        await pilot.press("escape", "f5")
        await until(pilot, lambda: len(pilot.app.jobs.open) == 2)
        let.set()
        await until(pilot, lambda: bright(screen) == 50 and idle(screen))
        assert len(begun) > 1


async def test_the_old_picture_stays_until_a_new_one_comes(tiny, app, until, monkeypatch):
    let = threading.Event()

    def render(stove, catalog, opener, part, request, device, job):
        if part.letter == "merge" and alpha_of(part) == 0.9:
            while not let.wait(0.01):
                job.check()
        return shot(round(abs(alpha_of(part)) * 100))

    monkeypatch.setattr(Stove, "_shot", render)
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f5")
        await until(pilot, lambda: bright(screen) == 50 and idle(screen))
        screen.form.query_one("#parameters").query_one(Slider).value = 0.9
        await pilot.press("f5")
        await until(pilot, lambda: screen.pictures.frame("merge").status == "waiting…")
        assert bright(screen) == 50 and screen.pictures.frame("merge").title == "merge 0.5"
        let.set()
        await until(pilot, lambda: bright(screen) == 90)
        assert screen.pictures.frame("merge").title == "merge 0.9" and not screen.pictures.frame("merge").status


async def test_a_held_merge_stays_beside_the_next_and_they_are_flipped(tiny, app, until, rendered, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("f8")
        await until(pilot, lambda: "There is no picture of the merge yet" in text(it))
        await pilot.press("f5")
        await until(pilot, lambda: bright(screen) == 50 and idle(screen))
        await pilot.press("f8")
        assert screen.pictures.frame("held").display and bright(screen, "held") == 50
        screen.form.query_one("#parameters").query_one(Slider).value = 0.75
        await pilot.press("f5")
        await until(pilot, lambda: bright(screen) == 75 and idle(screen))
        assert bright(screen, "held") == 50 and screen.pictures.frame("held").title == "held: merge 0.5"

        def seen():
            return [frame.id for frame in screen.query(Frame) if frame.display]

        await pilot.press("f9")
        assert seen() == ["frame-merge"]
        await pilot.press("f9")
        assert seen() == ["frame-held"]
        await pilot.press("escape")
        assert it.screen is screen and len(seen()) == 4
        await pilot.press("f8")
        assert bright(screen, "held") == 75, "the newest takes its place"
        await pilot.press("f8")
        assert "frame-held" not in seen()


async def test_seeds_that_follow_each_other_are_shown_in_a_square(tiny, app, until):
    async with app(tiny).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        screen.query_one("#size", Input).value = "64x64"
        screen.query_one("#seeds", Input).value = "3"
        screen.query_one("#sampler", Select).value = "Euler"
        await pilot.press("f5")
        await until(pilot, lambda: screen.pictures.shown("merge") and idle(screen), 120)
        shown = screen.pictures.shown("merge").shot
        assert [picture.seed for picture in shown.pictures] == [1, 2, 3]
        assert screen.pictures.frame("merge").pixels.shape == (128, 128, 3)
        assert all("Sampler: Euler," in picture.infotext for picture in shown.pictures)
        assert len(screen.pictures.shown("A").shot.pictures) == 3
        (entry,) = History(tiny.folder).entries()
        assert (entry.what, entry.request["batch"], entry.request["sampler"]) == ("preview", 3, "Euler")


async def test_the_library_scrolls_while_a_merge_is_written(tiny, app, until, monkeypatch):
    let, ended = threading.Event(), []

    def slow(*_, job):
        try:
            with job.phase("writing", 10_000, "bytes") as advance:
                while not let.wait(0.001):
                    advance()
        finally:
            ended.append(job.cancelled)

    monkeypatch.setattr(kitchen, "save", slow)
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        screen = await lab(pilot, until, BASE, PASTEL)
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: it.screen is screen and not idle(screen))
        await pilot.press("B")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))
        assets = it.screen.query_one(AssetList)
        assets.focus()
        await pilot.press("home")
        places = []
        for key in ("down", "down", "up", "end"):
            await pilot.press(key)
            places.append(assets.cursor)
            assert it.jobs.open, "it is still being written"
        assert places == [1, 2, 1, 3]
        it.jobs.cancel_all()
        await until(pilot, lambda: ended == [True] and not it.jobs.open)
