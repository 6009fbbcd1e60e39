"""A real terminal: the interface in tmux, used by keys and read back from the screen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_terminal import Terminal

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def terminal(tmp_path: Path, home: Path, models: Path) -> Iterator[Terminal]:
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    running = Terminal(tmp_path, home)
    yield running
    running.close()


def test_filter_move_open_and_quit_in_a_real_terminal(terminal: Terminal):
    screen = terminal.wait("◆ modelhub", "4 of 4", "tiny-shapes-base", "KINDS", "EVIDENCE", "space Mark")
    assert max(len(line) for line in screen.splitlines()) <= 120

    terminal.keys("/", "kind:diffusion-model")
    screen = terminal.wait("2 of 4", "tiny-shapes-pastel-unet")
    assert "tiny-shapes-framed-lora" not in screen

    terminal.keys("Enter")
    terminal.wait("space Mark")
    terminal.keys("Down")
    terminal.wait("tiny-shapes-stripes-unet.safetensors")

    terminal.keys("d")
    time.sleep(0.5)
    assert "EVIDENCE" not in terminal.screen
    terminal.keys("Enter")
    terminal.wait("EVIDENCE", "diffusion-model", "tiny-shapes-stripes-unet.safetensors")

    terminal.keys("?")
    terminal.wait("Keys and queries", "LIBRARY")
    terminal.keys("Escape")
    terminal.wait("EVIDENCE", "2 of 4")

    terminal.keys("q")
    screen = terminal.wait("exit code 0")
    assert "Traceback" not in screen


def test_a_narrow_window_and_back(terminal: Terminal):
    terminal.wait("4 of 4", "KINDS", "IDENTITY")
    terminal("resize-window", "-x", "80", "-y", "24")
    end = time.monotonic() + 120
    while "KINDS" in (screen := terminal.screen) or "IDENTITY" in screen:
        assert time.monotonic() < end, screen
        time.sleep(0.1)
    assert "tiny-shapes-base" in terminal.wait("4 of 4", "q Quit")
    terminal("resize-window", "-x", "200", "-y", "60")
    terminal.wait("KINDS", "IDENTITY", "EVIDENCE")
    terminal.keys("q")
    terminal.wait("exit code 0")
