"""A real terminal: the interface in tmux, used by keys and read back from the screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A tmux server of its own, of 120 × 40."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.socket = folder / "tmux.socket"
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("TMUX", "TMUX_PANE", "NO_COLOR", "COLUMNS", "LINES")
        }
        environment |= {"MODELHUB_HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        self.environment = environment | {"PYTHONPATH": str(ROOT)}
        command = f"{sys.executable} -m modelhub; echo exit code $?; sleep 60"
        self("-f", "/dev/null", "-u", "new-session", "-d", "-x", "120", "-y", "40", command)

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        self("send-keys", *keys)

    @property
    def screen(self) -> str:
        return self("capture-pane", "-p")

    def wait(self, *texts: str, seconds: float = 60) -> str:
        """The screen, as soon as all of the texts stand on it."""
        end = time.monotonic() + seconds
        while not all(text in (screen := self.screen) for text in texts):
            assert time.monotonic() < end, f"{texts} did not come; the screen is:\n{screen}"
            time.sleep(0.1)
        return screen


@pytest.fixture
def terminal(tmp_path: Path, home: Path, models: Path) -> Iterator[Terminal]:
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    running = Terminal(tmp_path, home)
    yield running
    running("kill-server")


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
    end = time.monotonic() + 30
    while "KINDS" in (screen := terminal.screen) or "IDENTITY" in screen:
        assert time.monotonic() < end, screen
        time.sleep(0.1)
    assert "tiny-shapes-base" in terminal.wait("4 of 4", "q Quit")
    terminal("resize-window", "-x", "200", "-y", "60")
    terminal.wait("KINDS", "IDENTITY", "EVIDENCE")
    terminal.keys("q")
    terminal.wait("exit code 0")
