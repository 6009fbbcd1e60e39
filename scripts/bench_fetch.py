"""How fast a file comes from a server on this machine: `modelhub get` and the download alone, against `curl`."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_tools import Figures, as_installed, run, workplace, write_random

from modelhub.formats.header import Header

TESTS = Path(__file__).parents[1] / "tests"


def bench_fetch(args: argparse.Namespace) -> None:
    """One file of some GB from a server on this machine: `modelhub get`, and the download alone, against `curl`."""
    if not shutil.which("curl"):
        sys.exit("fetch needs curl")
    with workplace(args.folder) as work:
        path = work / "served" / "model.safetensors"
        path.parent.mkdir()
        write_random(path, Header.of([("w", "F16", (int(args.gigabytes * 1e9) // 2,))]), 0)
        with _served(path) as (url, env):
            os.environ.update(env)
            env = as_installed(work)
            run([sys.executable, "-m", "modelhub", "ls"], env)  # makes the catalog
            (work / "home").rename(work / "empty")
            _compare(args.rounds, work, path, url, env)


@contextmanager
def _served(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a file at a server in a process of its own, and the environment for who asks."""
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-m", "world", str(path)], env=env, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        lines = [line.strip() for line in iter(server.stdout.readline, "# ready\n")]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        [url] = [line.removeprefix("# modelhub get ") for line in lines if line.startswith("# modelhub get ")]
        try:
            yield url, {**os.environ, **exports}
        finally:
            server.terminate()


def _compare(rounds: int, work: Path, path: Path, url: str, env: dict[str, str]) -> None:
    get = [sys.executable, "-m", "modelhub", "get", url, "--to", str(work / "models")]
    curl = ["curl", "-sS", "-o", str(work / "curled"), url]
    then = f"{shlex.join(curl)} && {{}} {shlex.quote(str(work / 'curled'))}"
    rivals = {"curl": curl} | {f"curl && {tool}": ["sh", "-c", then.format(tool)] for tool in ("sync", "sha256sum")}
    size = path.stat().st_size
    ways: dict[str, Callable[[], Figures]] = {
        "modelhub get": lambda: run(get, env),
        "download alone": lambda: _alone(url, size, work),
        **{name: lambda command=command: run(command, env) for name, command in rivals.items()},
    }
    print(f"a file of {size / 1e9:.2f} GB from loopback, {os.cpu_count()} cores; {rounds} rounds, each of all in turn")
    print(f"SHA256 alone takes {_hashing(size):.1f} s for as many bytes in memory, on one core")
    print("ours verify the file and wait until the disk has it, as `curl && sync` does and `curl` does not")
    taken = [{name: _afresh(work, way) for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    print(
        "least and median wall seconds, median CPU seconds, then our speed beside each: median of the rounds, 1 is as fast"
    )
    print(f"{'':17} {'least':>7} {'median':>7} {'CPU':>7}" + "".join(f"{name:>19}" for name in rivals))
    for name in ways:
        print(_row(name, taken, list(rivals)))


def _row(name: str, taken: list[dict[str, Figures]], rivals: list[str]) -> str:
    """One way's seconds, and of one of ours how fast it was beside each rival in the same rounds; 1 is as fast."""
    walls = [one[name][0] for one in taken]
    cpu = statistics.median(one[name][1] for one in taken)
    speeds = [statistics.median(one[rival][0] / one[name][0] for one in taken) for rival in rivals]
    beside = "".join(f"{speed:17.2f} x" for speed in speeds) if name not in rivals else ""
    return f"{name:17} {min(walls):7.2f} {statistics.median(walls):7.2f} {cpu:7.2f}{beside}"


def _hashing(size: int) -> float:
    """Seconds below which no verified download can come: those of its hash."""
    block = os.urandom(1 << 20)
    digest, started = hashlib.sha256(), time.monotonic()
    for _ in range(size >> 20):
        digest.update(block)
    return time.monotonic() - started


def _afresh(work: Path, measured: Callable[[], Figures]) -> Figures:
    """Measure with nothing there of what came before: no files, and a catalog that knows none."""
    for name in ("home", "models"):
        shutil.rmtree(work / name, ignore_errors=True)
    shutil.copytree(work / "empty", work / "home")
    (work / "curled").unlink(missing_ok=True)
    (work / "models").mkdir()
    return measured()


def _alone(url: str, size: int, work: Path) -> Figures:
    """The engine without a command around it: to the verified file under its name."""
    from modelhub.fetch.download import fetched
    from modelhub.fetch.net import Net
    from modelhub.fetch.offer import RemoteFile
    from modelhub.formats.writer import into_place
    from modelhub.jobs import QUIET

    os.sync()
    goal = work / "models" / "model.safetensors"
    started, cpu = time.monotonic(), time.process_time()
    with Net(lambda provider: None) as net:
        file = RemoteFile(goal.name, url, size=size)
        with fetched(file, goal, "web", net, QUIET, lambda *told, **more: None) as came:
            into_place(came.part, goal)
    wall = time.monotonic() - started
    return wall, time.process_time() - cpu, 0.0, wall
