"""A real terminal for tests: modelhub in tmux, used by keys and read back from the screen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """The interface in a tmux server of its own, with the environment of the test."""

    def __init__(self, folder: Path, home: Path, size: tuple[int, int] = (120, 40)) -> None:
        self.socket = folder / "tmux.socket"
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("TMUX", "TMUX_PANE", "NO_COLOR", "COLUMNS", "LINES")
        }
        environment |= {"MODELHUB_HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        self.environment = environment | {"PYTHONPATH": str(ROOT)}
        command = f"{sys.executable} -m modelhub; echo exit code $?; sleep 60"
        columns, rows = map(str, size)
        self("-f", "/dev/null", "-u", "new-session", "-d", "-x", columns, "-y", rows, command)

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names; other words are typed."""
        self("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste as a terminal does it: in brackets, so that the program knows."""
        self("set-buffer", text)
        self("paste-buffer", "-p")

    def close(self) -> None:
        """End the server, whatever runs in it."""
        self("kill-server")

    @property
    def screen(self) -> str:
        """What stands on it."""
        return self("capture-pane", "-p")

    def wait(self, *texts: str, seconds: float = 120) -> str:
        """The screen, as soon as all of the texts stand on it."""
        end = time.monotonic() + seconds
        while not all(text in (screen := self.screen) for text in texts):
            assert time.monotonic() < end, f"{texts} did not come; the screen is:\n{screen}"
            time.sleep(0.1)
        return screen
