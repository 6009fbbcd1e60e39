"""The whole way of a user in a real terminal: scan, search, tag, merge lab with previews, save, download."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tmux_terminal import Terminal
from world import samples
from world.place import World

from modelhub.catalog.store import Catalog

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

MODEL, VERSION = 400, 4001


@pytest.fixture
def terminal(tmp_path: Path, home: Path, world: World) -> Iterator[Terminal]:
    """On an empty catalog, with Civitai and Hugging Face on loopback."""
    file = {"data": samples.lora(seed=3), "name": "ink.safetensors"}
    world.add_version(
        MODEL, VERSION, [file], type="LORA", baseModel="SD 1.5", title="Ink Lines", trainedWords=["inklines"]
    )
    running = Terminal(tmp_path, home)
    yield running
    running.close()


def until(terminal: Terminal, true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, terminal.screen
        time.sleep(0.1)


def assets(home: Path, query: str = "") -> list:
    with Catalog.open(home) as catalog:
        return catalog.assets(catalog.ids(query))


def test_the_whole_way(terminal: Terminal, home: Path, models: Path, world: World):
    terminal.wait("Nothing is catalogued yet")

    terminal.keys("a")
    terminal.wait("Add a folder")
    terminal.keys("-l", str(models))
    terminal.keys("Enter")
    terminal.wait("4 of 4", "tiny-shapes-base")

    terminal.keys("/")
    terminal.keys("-l", "kind:diffusion-model")
    terminal.wait("2 of 4", "tiny-shapes-pastel-unet")
    terminal.keys("Enter")
    terminal.wait("space Mark")

    terminal.keys("t")
    terminal.wait("new tags")
    terminal.keys("-l", "keep")
    terminal.keys("Enter")
    until(terminal, lambda: assets(home, "tag:keep"))

    terminal.keys("/")
    for _ in "kind:diffusion-model":
        terminal.keys("BSpace")
    terminal.wait("4 of 4")
    terminal.keys("-l", "tiny-shapes-base OR tag:keep")
    terminal.wait("2 of 4")
    terminal.keys("Enter")
    terminal.wait("space Mark")
    terminal.keys("C-a")
    terminal.wait("2 marked")
    terminal.keys("m")
    terminal.wait("Weighted sum", "tiny-shapes-base")

    terminal.keys("F5")
    until(terminal, lambda: terminal.screen.count("▀") > 200, 120)
    until(terminal, lambda: "job" not in terminal.screen.splitlines()[0], 120)

    terminal.keys("C-s")
    terminal.wait("Save the merge", "weighted-sum")
    terminal.keys("C-u")
    until(terminal, lambda: "weighted-sum" not in terminal.screen)
    goal = models / "mixed.safetensors"
    terminal.keys("-l", str(goal))
    terminal.keys("Enter")
    until(terminal, goal.exists)
    until(terminal, lambda: assets(home, "mixed"))

    terminal.keys("C-g")
    terminal.keys("Escape")
    terminal.paste(f"{world.civitai.url}/models/{MODEL}?modelVersionId={VERSION}")
    terminal.wait("Ink Lines", "ink.safetensors")
    terminal.keys("Enter")
    goal = models / "loras" / "ink.safetensors"
    terminal.wait("models/loras", "enter downloads")
    terminal.keys("Enter")
    until(terminal, goal.exists)
    until(terminal, lambda: assets(home, "kind:lora ink trigger:inklines"))
    assert goal.read_bytes() == samples.lora(seed=3)
    terminal.keys("B")
    terminal.wait("3 of 6", "2 marked")

    terminal.keys("q")
    terminal.wait("exit code 0")
