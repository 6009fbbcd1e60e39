"""Looking into a file: the verdict, the facts, tens of thousands of tensors with a filter, and what cannot be read."""

from __future__ import annotations

import pickle
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from textual.widgets import Input

from modelhub.tui.convert import inspect_screen
from modelhub.tui.convert.inspect_facts import InspectFacts
from modelhub.tui.convert.inspect_screen import InspectScreen

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202eb[red]c[/red]"


class Runs:
    """What a hostile pickle holds."""

    def __reduce__(self):
        return eval, ("1 + 1",)


async def opened(pilot, until, path: Path):
    pilot.app.push_screen(InspectScreen(path))
    await until(pilot, lambda: isinstance(pilot.app.screen, InspectScreen))
    return pilot.app.screen


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (200, 60)])
async def test_many_tensors_are_listed_and_filtered(few, app, until, text, make_file, size):
    tensors = {f"blocks.{number}.weight": np.zeros((2, 3), np.float16) for number in range(5_000)}
    path = make_file("many.safetensors", tensors, {"about": HOSTILE})
    async with (it := app(few)).run_test(size=size) as pilot:
        screen = await opened(pilot, until, path)
        await until(pilot, lambda: screen.tensors.count == 5_000 and "5,000" in text(it))
        assert "safe: nothing in it can run code" in text(it) and "2×3" in text(it)
        await pilot.press("o", "G")
        await until(pilot, lambda: screen.tensors.cursor == 4_999)
        await pilot.press("slash", *"4999.w")
        await until(pilot, lambda: screen.tensors.count == 1)
        await until(pilot, lambda: "1 of 5,000" in text(it))
        await pilot.press("slash")
        assert screen.query_one(Input).value == "4999.w/"
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: it.focused is screen.tensors)
        await pilot.press("y")
        assert it.clipboard == "blocks.4999.weight"
        screen.query_one(Input).value = "blocks.[12].*"
        await until(pilot, lambda: screen.tensors.count == 2)
        await pilot.press("slash", "escape")
        await until(pilot, lambda: screen.tensors.count == 5_000)
        await pilot.press("o")
        assert not {char for char in text(it) if not char.isprintable()} - {"\n"}
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is not screen)


async def test_a_dangerous_pickle_is_told_and_not_run(few, app, until, text, tmp_path):
    path = tmp_path / f"evil{HOSTILE.replace('/', '')}.ckpt"
    path.write_bytes(pickle.dumps(Runs(), 2))
    async with (it := app(few)).run_test(size=(140, 40)) as pilot:
        await opened(pilot, until, path)
        await until(pilot, lambda: "dangerous: it would run code" in text(it))
        seen = text(it)
        assert "NAMES IN THE PICKLE" in seen and "eval" in seen and "at byte" in seen and "\\x1b[2J" in seen
        assert not {char for char in seen if not char.isprintable()} - {"\n"}
        await pilot.press("y")
        assert it.clipboard.startswith("danger: ")
        await pilot.press("o", "y")
        assert it.clipboard.startswith("danger: ")


@pytest.mark.parametrize(("name", "content", "says"), [
    ("page.ckpt", b"<!DOCTYPE html><html>x</html>", "web page"), ("cut.safetensors", b"\x00" * 9, "cut"),
    ("gone.safetensors", None, "gone.safetensors"),
])  # fmt: skip
async def test_what_cannot_be_read_is_explained(few, app, until, text, tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    async with (it := app(few)).run_test(size=(140, 40)) as pilot:
        screen = await opened(pilot, until, path)
        await until(pilot, lambda: "looked at" not in screen.query_one(InspectFacts).nothing)
        assert screen.tensors.count == 0 and name in text(it)
        for key in ("o", "y", "slash", "x", "escape", "escape"):
            await pilot.press(key)
        await until(pilot, lambda: it.screen is not screen)


async def test_what_is_typed_before_the_file_is_read_filters_it(few, app, until, make_file, monkeypatch):
    path, gate = make_file("some.safetensors", {name: np.zeros((2, 3), np.float16) for name in ("a", "b")}), Event()
    real = inspect_screen.inspect
    monkeypatch.setattr(inspect_screen, "inspect", lambda path: gate.wait(60) and real(path))
    async with (it := app(few)).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, until, path)
        screen.query_one(Input).value = "b"
        gate.set()
        await until(pilot, lambda: screen.tensors.current == "b")
        assert it.screen is screen
