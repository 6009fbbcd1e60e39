"""How fast a file comes from a server on this machine: `modelhub get` and the download alone, against `curl`."""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_tools import Figures, compare, run, workplace, write_random

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
            env["MODELHUB_HOME"] = str(work / "home")
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
    os.environ.update(env)
    get = [sys.executable, "-m", "modelhub", "get", url, "--to", str(work / "models")]
    curl = ["curl", "-sS", "-o", str(work / "curled"), url]
    then = f"{shlex.join(curl)} && {{}} {shlex.quote(str(work / 'curled'))}"
    rivals = {"curl": curl} | {f"curl, {tool}": ["sh", "-c", then.format(tool)] for tool in ("sync", "sha256sum")}
    ours: dict[str, Callable[[], Figures]] = {
        "modelhub get": lambda: _afresh(work, lambda: run(get, env)),
        "download alone": lambda: _afresh(work, lambda: _alone(url, path.stat().st_size, work)),
    }
    print(
        f"a file of {path.stat().st_size / 1e9:.2f} GB from loopback, {os.cpu_count()} cores; {rounds} rounds in turn"
    )
    print(f"SHA256 alone takes {_hashing(path.stat().st_size):.1f} s for as many bytes in memory, on one core")
    print(f"{'':16} {'against':16} {'ours':>8} {'theirs':>8} {'wall':>8} {'CPU':>8} {'speed':>8}")
    for rival, command in rivals.items():
        for name, mine in ours.items():
            got = compare(rounds, lambda command=command: _afresh(work, lambda: run(command, env)), mine)
            ratios = f"{got['wall']:6.2f} x {got['cpu']:6.2f} x {1 / got['wall']:6.2f} x"
            print(f"{name:16} {rival:16} {got['two']:6.1f} s {got['one']:6.1f} s {ratios}", flush=True)


def _hashing(size: int) -> float:
    """Seconds below which no verified download can come: those of its hash."""
    block = os.urandom(1 << 20)
    digest, started = hashlib.sha256(), time.monotonic()
    for _ in range(size >> 20):
        digest.update(block)
    return time.monotonic() - started


def _afresh(work: Path, measured: Callable[[], Figures]) -> Figures:
    """Measure with nothing there of what came before: neither files nor the catalog that knows them."""
    for name in ("home", "models"):
        shutil.rmtree(work / name, ignore_errors=True)
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
        with fetched(file, goal, "web", net, QUIET, lambda *told: None) as came:
            into_place(came.part, goal)
    wall = time.monotonic() - started
    return wall, time.process_time() - cpu, 0.0, wall
