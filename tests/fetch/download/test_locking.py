"""Where flock does not work a lock file takes its place, and that of a dead process is taken over."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from download_bench import Bench

from modelhub.errors import FileError
from modelhub.fetch.download import fetched, locking
from modelhub.fetch.download.part import Part
from modelhub.fetch.download.place import Place
from modelhub.fetch.net import Net


@pytest.fixture
def claim(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock file of the bench's part, on a system without flock."""
    monkeypatch.setattr(locking, "_CAN_LOCK", False)
    bench.goal.parent.mkdir()
    return Place.of(bench.file, bench.goal).claim


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_folder_that_another_download_took_away_is_made_anew(bench: Bench):
    """The one that had made the folder came to nothing, after this one had looked whether it is there."""
    with Part(Place.of(bench.file, bench.goal), bench.goal) as part:
        assert part.path.is_file()


def test_the_lock_file_is_there_while_it_is_needed(bench: Bench, claim: Path):
    with Net(lambda provider: None) as net, fetched(bench.file, bench.goal, "web", net):
        assert json.loads(claim.read_text()) == {"computer": platform.node(), "process": os.getpid()}
        with pytest.raises(FileError) as caught:
            bench.get()
        assert str(claim) in caught.value.hint
    assert bench.beside == []
    bench.get()
    assert bench.beside == ["mine.safetensors"]


def test_that_of_a_dead_process_is_taken_over(bench: Bench, claim: Path):
    claim.write_text(json.dumps({"computer": platform.node(), "process": dead_process()}))
    bench.get()
    assert bench.goal.read_bytes() == bench.data


def test_one_that_goes_while_it_is_looked_at_is_no_obstacle(bench: Bench, claim: Path, monkeypatch: pytest.MonkeyPatch):
    claim.write_text("{}")
    read = locking.read_bounded

    def gone(path: Path, limit: int) -> tuple[int, bytes]:
        path.unlink()
        return read(path, limit)

    monkeypatch.setattr(locking, "read_bounded", gone)
    bench.get()
    assert bench.goal.read_bytes() == bench.data


@pytest.mark.parametrize("text", ["", "{", "[]", '{"computer": 1}', '{"computer": "elsewhere", "process": 1}'])
def test_that_of_anybody_else_stays(bench: Bench, claim: Path, text: str):
    claim.write_text(text)
    with pytest.raises(FileError, match="by another process"):
        bench.get()
    assert claim.read_text() == text


def test_a_file_system_that_cannot_lock_gets_a_lock_file(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    with Net(lambda provider: None) as net, fetched(bench.file, bench.goal, "web", net):
        assert Place.of(bench.file, bench.goal).claim.exists()
