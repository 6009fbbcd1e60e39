"""Snapshots: a dozen screens as they were looked at and found good; a change of their looks is seen in the difference."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from screen_snapshots import check
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from modelhub.tui.library import Library

Until = Callable[..., Awaitable[None]]
Text = Callable[[Any], str]
Steps = Callable[[Pilot[Any], Until, Text], Awaitable[None]]


@pytest.fixture
def shelf(few: Library) -> Library:
    """A dozen rows as a person keeps them: rated, tagged, with a note, one missing."""
    with closing(sqlite3.connect(few.folder / "catalog.db")) as db, db:
        db.execute("DELETE FROM tags WHERE asset_id > 4")
        db.execute("UPDATE assets SET rating = 5, notes = 'soft light; goes well with alpha 0.3' WHERE id = 1")
        db.execute("UPDATE assets SET rating = 3 WHERE id IN (2, 7)")
    return few


async def library(pilot: Pilot[Any], until: Until, text: Text) -> None:
    """The library, with all that its detail pane finds out by and by."""
    app: Any = pilot.app
    await until(pilot, lambda: app.here == "browse" and app.screen.query("#assets") and app.screen.assets.count == 12)
    await until(pilot, lambda: app.screen.is_narrow or "f shows all" in text(app))


def pressed(*keys: str) -> Steps:
    """Steps that press keys in the library."""

    async def steps(pilot: Pilot[Any], until: Until, text: Text) -> None:
        await library(pilot, until, text)
        await pilot.press(*keys)

    return steps


async def completing(pilot: Pilot[Any], until: Until, text: Text) -> None:
    """A query that is not whole yet, there all at once: what was found before stands below its completions."""
    await library(pilot, until, text)
    await pilot.press("slash")
    app: Any = pilot.app
    app.screen.focused.post_message(events.Paste("kind:l"))


#: What is done, and the words by which it is known that the screen is complete.
SCREENS: dict[str, tuple[Steps, tuple[str, ...]]] = {
    "library": (pressed(), ("12 of 12", "model-00012")),
    "completion": (completing, ("lora   3", "There is no kind")),
    "marked": (pressed("space", "down", "space"), ("2 marked",)),
    "columns": (pressed("c"), ("Columns",)),
    "tags": (pressed("t"), ("anime",)),
    "download": (pressed("D"), ("Nothing is queued.",)),
    "lab": (pressed("M"), ("Weighted sum", "Press enter")),
    "lora": (pressed("L"), ("No LoRA under the cursor",)),
    "convert": (pressed("C"), ("Convert",)),
    "jobs": (pressed("J"), ("Jobs",)),
    "palette": (pressed("ctrl+p"), ("Palette", "Action  Set kind")),
    "jump": (pressed("ctrl+g"), ("Type a letter to go there",)),
    "help": (pressed("question_mark"), ("Keys and queries", "LIBRARY")),
    "settings": (pressed("comma"), ("Theme", "modelhub", "Density")),
}
SIZES = {"narrow": (80, 24), "normal": (120, 40), "wide": (200, 60)}


@pytest.mark.parametrize("name", SCREENS)
async def test_looks_are_as_they_were(shelf, app, until, text, name):
    await looks(app(shelf), name, (120, 40), until, text, name)


@pytest.mark.parametrize("size", ["narrow", "wide"])
async def test_the_library_on_small_and_large_screens(shelf, app, until, text, size):
    await looks(app(shelf), "library", SIZES[size], until, text, f"library-{size}")


async def looks(app, name: str, size: tuple[int, int], until, text, kept: str) -> None:
    steps, words = SCREENS[name]
    async with app.run_test(size=size) as pilot:
        await steps(pilot, until, text)
        await until(pilot, lambda: all(word in text(app) for word in words))
        await until(pilot, lambda: not app.jobs.open and all(one.is_finished for one in app.workers))
        assert "looking…" not in text(app)
        for field in app.screen.query(Input):
            field.cursor_blink = False  # it is seen
        app.screen.refresh()  # below a dialog stands what its screen was when the dialog was drawn
        await pilot.pause()
        check(app, kept)
