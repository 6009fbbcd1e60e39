"""`modelhub serve` in a process of its own, as the tests of the server start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: The colour of the picture beside the first model.
ORANGE = (240, 120, 16)


class Server:
    """`modelhub serve` with some words, at `address`."""

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        outer = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelhub", "serve", "--port", "0", "--json", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=outer | (environment or {}),
            start_new_session=True,
        )
        self.told: dict[str, Any] = self._read()
        self.address = str(self.told["address"])
        self.port = int(self.address.split("/")[2].rpartition(":")[2])

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            with suppress(ValueError):
                return dict(json.loads(text))
        raise AssertionError(f"the server did not start: {text}{self.process.communicate()[1]}")

    @property
    def children(self) -> list[int]:
        """The processes that it started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, parent = folder.joinpath("stat").read_text().rpartition(") ")[2].split()[:2]
                if int(parent) == self.process.pid and state != "Z":
                    found.append(int(folder.name))
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and wait for the end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=30)
        if self.process.returncode is None:
            self.process.kill()
            raise AssertionError("the server does not stop")
        return self.process.returncode
