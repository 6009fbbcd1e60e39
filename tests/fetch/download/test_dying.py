"""Processes that are killed at any moment leave what the next one can go on from, and nothing that is untrue."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from download_bench import Bench, some_bytes
from world import faults

from modelhub.errors import NotFoundError
from modelhub.fetch.download import already, fetched
from modelhub.fetch.download.place import Place
from modelhub.fetch.download.state import read_state
from modelhub.fetch.net import Net

#: Starts a download for every line it reads, and kills it so many seconds after.
_KILLER = """
import os, signal, sys, time
from pathlib import Path
from modelhub.fetch.download import digests
digests.BLOCK = 1 << 15
from modelhub.fetch.download import sink
sink._LEAST = 1 << 12
import blake3, requests
from modelhub.errors import NotFoundError
from modelhub.fetch.download import already, fetched
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.writer import into_place

url, goal, sha256 = sys.argv[1:]
file = RemoteFile("model.safetensors", url, hashes={"sha256": sha256} if sha256 else {})
for line in sys.stdin:
    child = os.fork()
    if not child:
        with Net() as net, fetched(file, Path(goal), "web", net) as found:
            into_place(found.part, Path(goal), force=True)
        os._exit(0)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def moments(seed: int) -> Iterator[float]:
    """Seconds until the end comes: short ones at first, and longer ones for a machine that is busy."""
    chance = random.Random(seed)
    return (chance.uniform(0.005, 0.06) * max(1, turn / 40) for turn in range(400))


@pytest.fixture
def kill(bench: Bench) -> Iterator[Callable[[str, float], int]]:
    """`kill(sha256, seconds)` has a process fetch the file and be killed; 9, or 0 for one that was done before."""
    started: dict[str, subprocess.Popen[str]] = {}

    def one(sha256: str, seconds: float) -> int:
        if sha256 not in started:
            words = [sys.executable, "-c", _KILLER, bench.file.url, str(bench.goal), sha256]
            started[sha256] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process = started[sha256]
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{seconds}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield one
    for process in started.values():
        process.communicate()


def test_the_next_process_goes_on(bench: Bench, kill: Callable[[str, float], int]):
    bench.serve(some_bytes(2_000_000))
    bench.file = replace(bench.file, hashes={"sha256": bench.sha256})
    bench.world.fault("GET storage", faults.slow(20_000_000, piece=1 << 14), times=None)
    place, lengths = Place.of(bench.file, bench.goal), [0]
    kill(bench.sha256, 0.01)
    for turn, seconds in enumerate(moments(1)):
        if kill(bench.sha256, seconds) == 0 or bench.goal.exists() or (turn >= 40 and lengths[-1]):
            break
        there = place.part.read_bytes() if place.part.exists() else b""
        assert bench.data.startswith(there)
        assert len(there) >= lengths[-1], "nothing that came is lost"
        lengths.append(len(there))
    assert lengths[-1] > 0
    bench.world.clear_faults()
    bench.get()
    assert bench.goal.read_bytes() == bench.data
    assert bench.beside == ["mine.safetensors"]


def test_a_part_is_what_its_state_says(bench: Bench, kill: Callable[[str, float], int]):
    """The file is replaced again and again, and no hash is known: only the state tells one part from another."""
    versions = {f'"{seed}"': some_bytes(1_500_000, seed) for seed in range(3)}
    bench.serve(versions['"0"'], ETag='"0"')
    place, chance = Place.of(bench.file, bench.goal), random.Random(2)
    seen: set[tuple[str, int]] = set()
    kill("", 0.01)
    for turn, seconds in enumerate(moments(2)):
        if turn >= 40 and len(seen) > 5:
            break
        etag = chance.choice(list(versions))
        bench.world.clear_faults()
        bench.serve(versions[etag], ETag=etag)
        bench.world.fault("GET storage", faults.slow(20_000_000, piece=1 << 14), times=None)
        kill("", seconds)
        state, there = read_state(place.state), place.part.read_bytes() if place.part.exists() else b""
        if there:
            assert state is not None
            assert state.etag is not None
            assert versions[state.etag].startswith(there)
            seen.add((state.etag, len(there)))
    assert len(seen) > 5
    bench.world.clear_faults()
    bench.get()
    assert bench.goal.read_bytes() == bench.data


def test_a_file_at_its_goal_is_never_written_to(bench: Bench):
    """A process that dies between giving the file its name and taking away the part's leaves two names of one file."""
    bench.get()
    place = Place.of(bench.file, bench.goal)
    place.part.hardlink_to(bench.goal)
    assert already(bench.file, bench.goal) == 0
    bench.file = replace(bench.file, hashes={})  # nothing of the part would be of use
    place = Place.of(bench.file, bench.goal)
    place.part.hardlink_to(bench.goal)
    bench.goal, finished = bench.goal.with_name("again.safetensors"), bench.goal
    bench.world.fault("GET storage", faults.drop(100_000), faults.status(404))
    with pytest.raises(NotFoundError):
        bench.get()
    assert finished.read_bytes() == bench.data


def test_a_process_that_died_holds_no_lock(bench: Bench, kill: Callable[[str, float], int]):
    bench.world.fault("GET storage", faults.stall(100_000))
    kill(bench.sha256, 1.0)
    with Net(lambda provider: None) as net, fetched(bench.file, bench.goal, "web", net) as found:
        assert found.size == 300_000


def test_another_process_is_an_error_and_no_mess(bench: Bench, tmp_path: Path):
    code = """
import sys
from pathlib import Path
from modelhub.errors import FileError
from modelhub.errors import NotFoundError
from modelhub.fetch.download import already, fetched
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile
try:
    with fetched(RemoteFile("model.safetensors", sys.argv[1], hashes={"sha256": sys.argv[3]}), Path(sys.argv[2]), "web", Net()):
        print("got it")
except FileError as error:
    print(error)
"""
    with Net(lambda provider: None) as net, fetched(bench.file, bench.goal, "web", net) as found:
        words = [sys.executable, "-c", code, bench.file.url, str(bench.goal), bench.sha256]
        other = subprocess.run(words, capture_output=True, text=True)
        assert "is being downloaded already" in other.stdout, other.stderr
        assert found.part.read_bytes() == bench.data
