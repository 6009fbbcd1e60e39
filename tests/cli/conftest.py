"""The command line in tests: run in this process or in one of its own, on one scanned demo library for all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog.store import Catalog
from modelhub.cli.console import main
from modelhub.demo.library import Library, lay_out
from modelhub.scan.run import scan

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON document it must be."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error of an answer with --json, which has nothing else in it."""
        found = self.json
        assert list(found) == ["error"] and set(found["error"]) == {"code", "message", "hint"}, found
        assert all(isinstance(text, str) for text in found["error"].values())
        return found["error"]


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("ls", "--json")` runs a command in this process."""

    def call(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def _scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, Path]:
    folder = tmp_path_factory.mktemp("demo")
    library = lay_out(folder / "library")
    with Catalog.open(folder / "home") as catalog:
        assert scan(catalog, [library.folder], hashes="full").files == 9
    return library, folder / "home"


@pytest.fixture
def demo_library(_scanned: tuple[Library, Path]) -> Library:
    """The demo's library, shared by all tests: for reading only."""
    return _scanned[0]


@pytest.fixture
def library(_scanned: tuple[Library, Path], home: Path) -> Library:
    """The demo's library (for reading only), and this test's own catalog of it, hashed in full."""
    shutil.copytree(_scanned[1], home)
    return _scanned[0]


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`spawn("ls")` starts `python -m modelhub ls` with pipes; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, env: dict[str, str] | None = None, before: Any = None, **options: Any) -> Any:
        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore Ctrl-C
            if before is not None:
                before()

        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, "-m", "modelhub", *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
            preexec_fn=prepare,
            text=True,
            encoding="utf-8",
            **{**pipes, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finish(spawn: Callable[..., Any]) -> Run:
    """`finish("ls")` runs a command in a process of its own to its end."""

    def call(*words: object, **options: Any) -> Result:
        process = spawn(*words, **options)
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out or "", err or "")

    return call
