"""Benchmarks of the catalog: identifying to a bare JSON parse, scanning to `find`, listing to a bare query."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench_tools import LAYOUTS, as_installed, compare, layout, run, workplace

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identify import identify
from modelhub.catalog.store import Catalog
from modelhub.formats.header import Header
from modelhub.formats.safetensors import read_header

NAMES = [path.name.split(".")[0] for path in sorted(LAYOUTS.glob("*.json.xz"))]


def bench_identify(args: argparse.Namespace) -> None:
    """Reading and identifying each real header against `json.loads` of the same bytes, in one process."""
    with workplace(args.folder) as work:
        print(f"{'layout':32} {'tensors':>8} {'JSON':>9} {'identify':>9} {'ratio':>7}")
        sums = [0.0, 0.0]
        for name in NAMES:
            header = layout(name)
            path = work / f"{name}.safetensors"
            write_hollow(path, header)
            bare = _best(partial(_parse, path), args.rounds)
            full = _best(partial(_identify, path), args.rounds)
            sums = [sums[0] + bare, sums[1] + full]
            print(f"{name:32} {len(header.tensors):8} {bare * 1e3:6.2f} ms {full * 1e3:6.2f} ms {full / bare:5.2f} x")
        print(f"{'all together':41} {sums[0] * 1e3:6.2f} ms {sums[1] * 1e3:6.2f} ms {sums[1] / sums[0]:5.2f} x")

    _bench_new_ranks(args)


def _bench_new_ranks(args: argparse.Namespace) -> None:
    """The same for LoRAs of which each has a rank that was not met before; their modules were."""
    with workplace(args.folder) as work:
        for name in (name for name in NAMES if name.startswith("lora")):
            header = layout(name)
            times: list[tuple[float, float]] = []
            for rank in range(3, 43):
                path = work / f"{name}-{rank}.safetensors"
                write_hollow(path, _ranked(header, rank))
                times.append((_seconds(partial(_parse, path)), _seconds(partial(_identify, path))))
            bare, full = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name + ', new rank':41} {bare * 1e3:6.2f} ms {full * 1e3:6.2f} ms {full / bare:5.2f} x")


def _ranked(header: Header, rank: int) -> Header:
    """A LoRA's header with another rank: the smaller side of each factor."""

    def size(shape: tuple[int, ...]) -> tuple[int, ...]:
        least = min(shape[:2]) if len(shape) > 1 else 0
        return tuple(rank if side == least and at < 2 else side for at, side in enumerate(shape))

    return Header.of([(name, info.dtype, size(info.shape)) for name, info in header.tensors.items()])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _parse(path: Path) -> object:
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def _identify(path: Path) -> object:
    return identify(read_header(path), name=path.name)


def _best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the quickest of many runs: what is left is the work itself."""
    return min(_seconds(work) for _ in range(max(10, rounds * 5)))


def write_hollow(path: Path, header: Header) -> None:
    """A file with a real header and holes for data."""
    with path.open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)


def lay_out(library: Path, files: int) -> None:
    """`files` files with the headers of real models in 200 folders; their data are holes."""
    random.seed(1)
    for number in range(files):
        folder = library / f"group{number % 20:02}" / f"folder{number // 20 % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        name = NAMES[number % len(NAMES)]
        write_hollow(folder / f"{name}-{number:05}.safetensors", layout(name, cut=number % 7))


def bench_scan(args: argparse.Namespace) -> None:
    """Files with the headers of real models, scanned anew in three sizes, and again, against `find -printf`."""
    with workplace(args.folder) as work:
        env = as_installed(work)
        library = work / "library"
        scan = [sys.executable, "-m", "modelhub", "scan", str(library), "--hash", "none"]
        for files in (args.files // 4, args.files // 2, args.files):
            shutil.rmtree(library, ignore_errors=True)
            lay_out(library, files)
            shutil.rmtree(work / "home", ignore_errors=True)
            wall, _, memory, _ = run(scan, env)
            print(f"first scan of {files:6,} files {wall:7.2f} s = {files / wall:6,.0f} files/s, {memory:.0f} MiB")
        find = ["find", str(library), "-printf", "%D %i %s %T@ %p\n"]
        again = compare(args.rounds, lambda: run(find, env), lambda: run(scan, env))
        nothing = compare(args.rounds, lambda: run(find, env), lambda: run([sys.executable, "-c", "pass"], env))
        print(
            f"rescan, nothing changed  {again['two']:7.3f} s = {again['wall']:.1f} x find ({again['one'] * 1e3:.0f} ms)"
        )
        print(f"of which an empty Python {nothing['two']:7.3f} s")


def bench_ls(args: argparse.Namespace) -> None:
    """`modelhub ls` over 50,000 assets: the time to its first output, against Python with a bare query of the same rows."""
    with workplace(args.folder) as work:
        home = work / "home"
        _fill(home, args.assets)
        env = as_installed(work)
        order = "ORDER BY name COLLATE NOCASE, path"
        query = f"SELECT id FROM assets WHERE trashed IS NULL {order}"
        code = f"import sqlite3; sqlite3.connect({str(home / 'catalog.db')!r}).execute({query!r}).fetchall(); print(1)"
        bare = [sys.executable, "-c", code]
        empty = [sys.executable, "-c", "import sqlite3; print(1)"]
        command = [sys.executable, "-m", "modelhub", "ls"]
        pairs = [(_first(bare, env), _first(empty, env), _first(command, env)) for _ in range(args.rounds * 5)]
        one, nothing, two = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{args.assets:,} assets; first output of `modelhub ls` after {two * 1e3:.0f} ms")
        print(f"  {two / one:.1f} x Python with sqlite3 and the bare query ({one * 1e3:.0f} ms)")
        print(f"  {two / nothing:.1f} x Python with sqlite3 alone ({nothing * 1e3:.0f} ms)")


def _first(command: list[str], env: dict[str, str]) -> float:
    """Seconds until a command's first byte of output."""
    started = time.perf_counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.read(1)
        passed = time.perf_counter() - started
        process.stdout.read()
    return passed


def _fill(home: Path, assets: int) -> None:
    """A catalog of that many assets, each with the identity of a real layout."""
    identities = {name: identify(layout(name), name=name) for name in NAMES}
    random.seed(1)
    with Catalog.open(home) as catalog, catalog.atomic():
        for number in range(assets):
            name = NAMES[number % len(NAMES)]
            word = random.choice(("amber", "birch", "cedar", "dune"))
            path = Path(f"/models/folder{number % 300:03}/{word}-{name}-{number:05}.safetensors")
            stat = FileStat(1, number + 1, random.randrange(10**6, 7 * 10**9), 1)
            asset = catalog.record(path, stat, identities[name], "1")
            if number % 5 == 0:
                catalog.tag([asset], add=[random.choice(("anime", "photo", "style"))])
